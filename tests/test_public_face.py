"""What `spondyl` offers is there, and asking for it costs nothing before it is used."""

import subprocess
import sys

import pytest

import spondyl


def test_every_public_name_is_there_and_every_name_that_is_there_is_public() -> None:
    assert sorted(spondyl._HOMES) == sorted(spondyl.__all__)
    for name in spondyl.__all__:
        assert getattr(spondyl, name).__name__ == name
    assert set(spondyl.__all__) <= set(dir(spondyl))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'dream'"):
        _ = spondyl.dream


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, spondyl; print([n for n in sys.modules if n.startswith('spondyl.') or n == 'numpy'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
