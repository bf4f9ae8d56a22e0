"""The errors that Spondyl raises on purpose.

- SpondylError: anything a user can put right; the command line prints its sentence and exits with status 2
    - InputError: a file or folder that cannot be read as one scan
    - SettingError: an option or argument outside its range
    - WeightsError: weights that are missing, damaged or of another network
    - OutputError: results that cannot be written
    - MissingExtraError: an optional dependency is not installed

No message ever carries a patient's name, number or date, nor a value read from such a field.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

__all__ = [
    "InputError",
    "MissingExtraError",
    "Named",
    "OutputError",
    "SettingError",
    "SpondylError",
    "WeightsError",
    "find_named",
    "requiring",
]

_EXTRAS = {"torch": "PyTorch", "train": "PyTorch and Lightning"}


class SpondylError(Exception):
    """Something that the caller can put right, said in one sentence."""


class InputError(SpondylError):
    """A file or folder that cannot be read as one scan."""


class SettingError(SpondylError, ValueError):
    """An option or argument outside its range."""


class WeightsError(SpondylError):
    """Weights that are missing, damaged or made for another network."""


class OutputError(SpondylError):
    """Results that cannot be written where they were asked for."""


class MissingExtraError(SpondylError, ImportError):
    """An optional dependency is needed and not installed; the message names the command that installs it."""


@contextmanager
def requiring(extra: str, purpose: str) -> Iterator[None]:
    """Turn the import of an optional package that is not there into one sentence with the command that installs it.

    Args:
        extra: "torch" or "train", of those in pyproject.toml.
        purpose: what needs it, the sentence's subject.

    Raises:
        MissingExtraError: an import inside the block fails, unless it is of Spondyl's own modules.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or "").startswith("spondyl"):
            raise
        raise MissingExtraError(f"{purpose} needs {_EXTRAS[extra]}: pip install 'spondyl[{extra}]'") from error


class Named(Protocol):
    """A line of a table that is chosen by its name."""

    @property
    def name(self) -> str:
        """The name, as the command line takes it."""

    @property
    def summary(self) -> str:
        """A few words for help and messages."""


Line = TypeVar("Line", bound=Named)


def find_named(table: Sequence[Line], name: str, what: str) -> Line:
    """Find the line of a table that has a name.

    Args:
        table: recipes, data kinds or the like.
        name: the name that was asked for.
        what: what the name is of, the sentence's subject.

    Raises:
        SettingError: no line has the name, or two lines have one name.
    """
    lines = {line.name: line for line in table}
    if len(lines) < len(table):
        raise SettingError(f"two lines of a table have one name, {what} is one of {', '.join(lines)}")
    if name not in lines:
        known = ", ".join(f"{line.name} ({line.summary})" for line in table)
        raise SettingError(f"{what} must be one of {known}, got {name!r}")
    return lines[name]
