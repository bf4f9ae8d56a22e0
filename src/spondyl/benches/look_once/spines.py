"""Discs of real spines for training and for testing, apart by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import REGULAR
from spondyl.datasets.real_columns import read_verse, read_vid
from spondyl.errors import InputError
from spondyl.refine.skeleton import mean_skeleton
from spondyl.simulate.disc_points import PAPER_FIELD, DiscChain, find_chains
from spondyl.types import Float

__all__ = ["SplitSpines", "fit_skeleton", "read_split_spines", "split_spines"]

_TEST_SHARE = 0.2
_SPLIT_SEED = 1

_SAME_MM = 0.15
"""Two spines whose distances between discs differ by less in the mean may be one patient's: VID holds some twice.

Most of those that are left out for it are other patients' and only happen to be as near.
"""

_MIN_STEPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSpines:
    """Unbroken chains of 5 discs or more.

    Args:
        train: to train and fit on.
        test: to measure on.
        left_out: number of test chains that were left out, since a training chain may be the same patient's.
    """

    train: tuple[DiscChain, ...]
    test: tuple[DiscChain, ...]
    left_out: int


def read_split_spines(data: Path) -> SplitSpines:
    """Read the spines of VID and VerSe19 in the folder `coordinates`.

    Raises:
        InputError: the folder lacks one of them.
    """
    folder = data / "coordinates"
    readers = {"vid_training.csv": read_vid, "verse19_landmarks.csv": read_verse}
    missing = [name for name in readers if not (folder / name).is_file()]
    if missing:
        raise InputError(f"no {missing[0]} in the folder coordinates of the data, which this benchmark is measured on")
    spines = [spine for name, read in readers.items() for spine in read(folder / name)]
    return split_spines([find_chains(spine.levels, spine.centres_ras_mm) for spine in spines])


def split_spines(spines: Sequence[Sequence[DiscChain]]) -> SplitSpines:
    """Split spines, each given as its chains, at random but always alike; leave out test chains that may be seen."""
    is_test = np.random.default_rng(_SPLIT_SEED).random(len(spines)) < _TEST_SHARE
    parts: tuple[list[DiscChain], list[DiscChain]] = ([], [])
    for chains, test in zip(spines, is_test, strict=True):
        parts[int(test)].extend(chain for chain in chains if len(chain.points_mm) >= PAPER_FIELD.min_discs)
    train, test = parts
    known = np.array([_steps_mm(chain) for chain in train])
    unseen = [chain for chain in test if not _is_among(_steps_mm(chain), known)]
    return SplitSpines(train=tuple(train), test=tuple(unseen), left_out=len(test) - len(unseen))


def _steps_mm(chain: DiscChain) -> Float:
    """The distance of each disc from the next, by the level above; not a number where the chain has none."""
    steps = np.full(len(Level), np.nan)
    steps[[level.rank for level in chain.uppers[:-1]]] = np.linalg.norm(np.diff(chain.points_mm, axis=0), axis=1)
    return steps


def _is_among(steps_mm: Float, known_mm: Float) -> bool:
    differences = np.abs(known_mm - steps_mm)
    shared = (~np.isnan(differences)).sum(1)
    means = np.nansum(differences, axis=1) / np.maximum(shared, 1)
    return bool(((shared >= _MIN_STEPS) & (means < _SAME_MM)).any())


def fit_skeleton(chains: Sequence[DiscChain]) -> Float:
    """Compute the mean places of the discs C2/C3, C3/C4, ... from chains of regular numbering, the others left out."""
    discs = REGULAR.levels[1:-2]
    regular = []
    for chain in chains:
        first = discs.index(chain.uppers[0]) if chain.uppers[0] in discs else len(discs)
        if chain.uppers == discs[first : first + len(chain.uppers)]:
            regular.append((first, chain.points_mm))
    return mean_skeleton(regular)
