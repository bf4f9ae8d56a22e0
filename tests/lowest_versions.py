"""Print the oldest release of each dependency that a pyproject.toml admits, as constraints for pip.

PyTorch is left out: constraints.txt pins the build that the tests run with.
"""

import re
import sys
import tomllib
from pathlib import Path


def lowest_versions(pyproject: Path) -> dict[str, str]:
    """Name and lower bound of every dependency, extras included.

    Raises:
        ValueError: a dependency has no lower bound.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    lines = [line for lines in (project["dependencies"], *extras) for line in lines if not line.startswith("spondyl[")]
    bounds = [re.match(r"([\w-]+)>=([\d.]+)", line) for line in lines]
    if None in bounds:
        raise ValueError(f"{lines[bounds.index(None)]!r} has no lower bound")
    return {bound[1]: bound[2] for bound in bounds if bound and bound[1] != "torch"}


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}=={version}\n" for name, version in lowest_versions(Path(sys.argv[1])).items())
