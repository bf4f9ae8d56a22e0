"""The kinds of labelled data: the one table that `spondyl train --data KIND:PATH` reads.

A kind is one file and one line here. Nothing is imported before a folder is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from spondyl.errors import find_named

if TYPE_CHECKING:
    from spondyl.datasets.source import Fold, Source, SplitPart

__all__ = ["KINDS", "DataKind", "find_kind"]


@dataclass(frozen=True, slots=True)
class DataKind:
    """One kind of labelled data.

    Args:
        name: its name on the command line; no other kind has it.
        opens: "module:function"; the function takes a folder and a `SplitPart` or `Fold` and returns a `Source`.
        summary: a few words for the help.
    """

    name: str
    opens: str
    summary: str

    def open(self, folder: Path, part: SplitPart | Fold) -> Source:
        """Load one part of the data in a folder.

        Raises:
            InputError: the data cannot be read.
        """
        source: Source = resolve_name(self.opens)(folder, part)
        return source


KINDS: tuple[DataKind, ...] = (
    DataKind("exams", "spondyl.datasets.exams:open_exams", "a folder of scans with masks, by the published split"),
    DataKind("phantoms", "spondyl.datasets.phantoms:open_phantoms", "a folder of phantoms, made where missing"),
    DataKind("spine-generic", "spondyl.datasets.spine_generic:open_spine_generic", "disc points of Spine Generic"),
)


def find_kind(name: str) -> DataKind:
    """The kind of data that has a name.

    Raises:
        SettingError: there is none.
    """
    return find_named(KINDS, name, "the KIND of --data KIND:PATH")
