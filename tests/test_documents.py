"""What the documents promise is there."""

import re
import tomllib
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement
from typer.testing import CliRunner

import architecture
from lowest_versions import lowest_versions
from spondyl import __version__, cli, terminal
from spondyl.methods import methods_of
from spondyl.report.write import OUR_FILES
from spondyl.stage import Stage

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


PROGRAM = typer.main.get_command(cli.app)
COMMANDS = sorted(
    f"{name} {part}".strip()
    for name, command in PROGRAM.commands.items()
    for part in getattr(command, "commands", [""])
)


def usages() -> dict[str, str]:
    """The usage of each command in the README; "" is the program itself."""
    block = README.partition("## The command line")[2].split("```")[1]
    found = {}
    for usage in re.split(r"^spondyl ", block, flags=re.MULTILINE)[1:]:
        words = usage.split()
        found[next(name for name in (" ".join(words[:2]), words[0], "") if name in (*COMMANDS, ""))] = usage
    return found


def help_of(command: str) -> str:
    return CliRunner().invoke(cli.app, [*command.split(), "--help"], catch_exceptions=False).stdout


def choices(usage: str) -> dict[str, str]:
    """The values of each option that a usage lists, as in `--modality mr|ct`."""
    return dict(re.findall(r"(--\w+) (\w[\w|-]*\|[\w|-]+)", usage))


def test_the_readme_has_every_command_and_no_other() -> None:
    assert sorted(usages()) == ["", *COMMANDS]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_options_of_the_readme_are_those_of_the_help(command: str) -> None:
    named = {"--out" if option == "-o" else option for option in re.findall(r"(?<![\w-])--?[a-z]+", usages()[command])}
    helped = set(re.findall(r"^ +(?:-\w, )?(--[\w-]+)", help_of(command), re.MULTILINE)) - {"--help"}
    assert named == helped


@pytest.mark.parametrize("command", COMMANDS)
def test_the_choices_of_the_readme_are_those_of_the_help(command: str) -> None:
    helped = dict(re.findall(r"(--\w+) \[(.+?)\]", help_of(command)))
    assert {option: values for option, values in choices(usages()[command]).items() if option in helped} == helped


@pytest.mark.parametrize("stage", [stage for stage in Stage if f"--{stage} " in help_of("analyze")])
def test_the_methods_of_the_readme_are_those_of_the_table(stage: Stage) -> None:
    names = "|".join(method.name for method in methods_of(stage)) or "METHOD"
    assert f"[--{stage} {names}]" in usages()["analyze"]


def test_the_exit_statuses_of_the_readme_are_those_of_the_code() -> None:
    left = {int(status) for status in re.findall(r"sys\.exit\((\d+)\)", Path(cli.__file__).read_text())}
    signalled = {terminal._SIGNALLED + number for number in (*terminal._SIGNALS, terminal._SIGPIPE)}
    statuses = {0, cli.NOTHING_FOUND} | left | signalled
    assert {int(status) for status in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)} == statuses
    assert cli.__doc__
    assert {int(status) for status in re.findall(r"\b\d+\b", cli.__doc__)} == statuses


def test_every_file_of_the_readme_is_one_of_ours() -> None:
    named = set(re.findall(r"^\| `([\w.]+)` \|", README, re.MULTILINE))
    assert named
    assert named <= OUR_FILES


def test_the_page_on_the_architecture_is_drawn_from_the_tables_as_they_are() -> None:
    assert (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8") == architecture.page(), "run `make docs`"


def test_torch_is_an_extra_within_whose_range_setups_pin_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {Requirement(line).name for line in project["dependencies"]}
    assert not needed & {"torch", "lightning"}
    extras = project["optional-dependencies"]
    assert "spondyl[torch]" in extras["train"]
    pinned = re.search(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert [Requirement(line).specifier.contains(pinned[1]) for line in extras["torch"]] == [True]


def test_every_dependency_has_a_lowest_version_to_be_tested_with() -> None:
    lowest = lowest_versions(ROOT / "pyproject.toml")
    assert lowest["numpy"] == "2.0.0"
    assert not {"torch", "spondyl"} & lowest.keys()


def test_a_dependency_without_a_lower_bound_is_refused(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\ndependencies = ["numpy>=2", "scipy"]\n[project.optional-dependencies]\n')
    with pytest.raises(ValueError, match="'scipy' has no lower bound"):
        lowest_versions(project)
