"""One hostile input: what it writes, how the command line is called on it, and which exit statuses are right."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

__all__ = [
    "ANY",
    "DONE",
    "EMPTY",
    "INTERRUPTED",
    "KILLED",
    "REFUSED",
    "Call",
    "Case",
    "Family",
    "Interrupt",
    "Prepare",
    "Workspace",
]

DONE, REFUSED, EMPTY, INTERRUPTED, KILLED = 0, 2, 3, 130, -9
"""Exit statuses of the command line's contract; the last is that of a process that another one killed."""

ANY = (DONE, REFUSED, EMPTY)
"""Exit statuses of a case in which both a report and a refusal are right."""

REFUSAL_S = 60.0
_BASE_GB, _HONEST_GB, _HONEST_GB_PER_VOXEL = 2.0, 1.5, 40e-9
"""Bounds: 60 s to refuse; 2 GB, or 1.5 GB and 40 bytes a voxel for an honest scan."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders of one case, all below one that is new and empty.

    Args:
        top: holds the others and is the current directory of the command.
        seed: for whatever a case draws at random; the same in every run.
    """

    top: Path
    seed: int = 0

    @property
    def scans(self) -> Path:
        """Holds the input."""
        return self.top / "scans"

    @property
    def results(self) -> Path:
        """Holds the report, unless the case asks for another place."""
        return self.top / "results"

    @property
    def home(self) -> Path:
        """The user's home, which holds a warm cache and nothing else."""
        return self.top / "home"

    @property
    def cache(self) -> Path:
        """The folder in which Spondyl keeps compiled networks."""
        return self.home / ".cache" / "spondyl"

    def make(self) -> Workspace:
        """Make the folders."""
        for folder in (self.scans, self.results, self.home, self.top / "tmp"):
            folder.mkdir(parents=True)
        return self

    def put(self, name: str, content: bytes) -> Path:
        """Write a file of the input, and the folders above it."""
        path = self.scans / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def rng(self) -> np.random.Generator:
        """A generator that draws the same in every run."""
        return np.random.default_rng(self.seed)


Prepare = Callable[[Workspace], Path | str]
"""Writes the input of a case and returns it, as the command line gets it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupt:
    """A signal sent while the command runs.

    Args:
        signal: its number.
        at: the stage whose line on stderr it waits for; "writing" waits for a new entry among the results.
        delay_s: from then on.
    """

    signal: int
    at: str
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the command line.

    Args:
        statuses: the exit statuses that are right.
        arguments: besides the input and the output folder.
        out: the output folder relative to the case's own; None leaves the option out.
        environment: variables set, or removed where None; `{top}` stands for the case's folder.
        shell: how a shell starts the command, which is `"$@"`.
        broken: the streams that are pipes nobody reads.
        interrupt: a signal sent meanwhile.
    """

    statuses: tuple[int, ...] = ANY
    arguments: tuple[str, ...] = ()
    out: str | None = "results/out"
    environment: dict[str, str | None] = field(default_factory=dict)
    shell: str = 'exec "$@"'
    broken: tuple[Literal["stdout", "stderr"], ...] = ()
    interrupt: Interrupt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A hostile input and the calls that are made on it, one after the other.

    Args:
        name: unique within its family.
        family: the group of the table that it counts in.
        prepare: writes the input.
        calls: what is run on it.
        is_like_base: whether the findings must be those of the honest scan from which the input was made.
        voxels: of an honest large scan, which may take more memory; 0 otherwise.
        limit_s: after which a call is ended and counts as a failure.
        obstacle: why the case cannot be run on this machine; empty where it can.
    """

    name: str
    family: str
    prepare: Prepare
    calls: tuple[Call, ...]
    is_like_base: bool = False
    voxels: int = 0
    limit_s: float = REFUSAL_S
    obstacle: Callable[[], str] = str

    @property
    def limit_gb(self) -> float:
        """The most memory that a call may hold."""
        return max(_BASE_GB, _HONEST_GB + _HONEST_GB_PER_VOXEL * self.voxels)

    @property
    def seed(self) -> int:
        """The seed of everything that the case draws at random."""
        return zlib.crc32(f"{self.family}/{self.name}".encode())


@dataclass(frozen=True, slots=True)
class Family:
    """A group of cases, and how to make the usual kinds of them."""

    name: str

    def refused(self, name: str, prepare: Prepare, *arguments: str) -> Case:
        """A case in which only a refusal is right."""
        return self.case(name, prepare, Call(statuses=(REFUSED,), arguments=arguments))

    def handled(self, name: str, prepare: Prepare, *arguments: str) -> Case:
        """A case that may be refused or analysed."""
        return self.case(name, prepare, Call(arguments=arguments))

    def alike(self, name: str, prepare: Prepare, *arguments: str) -> Case:
        """A case that is the honest scan in another form, and must give the same findings."""
        return self.case(name, prepare, Call(statuses=(DONE,), arguments=arguments), is_like_base=True)

    def case(self, name: str, prepare: Prepare, *calls: Call, is_like_base: bool = False) -> Case:
        """A case of any other kind."""
        return Case(name=name, family=self.name, prepare=prepare, calls=calls, is_like_base=is_like_base)
