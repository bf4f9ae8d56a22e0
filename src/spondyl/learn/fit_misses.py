"""Estimation of the share of bodies that a detector misses, by groups of levels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError
from spondyl.identify.misses import MissRates, find_group

__all__ = ["estimate_misses"]

MIN_MISSES = 5
"""The number of misses in a kind of data from which groups of levels are distinguished; with fewer they are pooled."""

MIN_BODIES = 50
"""The number of bodies of a group from which it is distinguished."""


def estimate_misses(kinds: Sequence[Sequence[Mapping[Level, bool]]]) -> MissRates:
    """Estimate the rates as the mean over the kinds of data, each counting alike: phantoms are many, but easy.

    Within a kind, a rate is (misses + 1) / (bodies + 2), the mean of what the rate may be if nothing is known before.

    Args:
        kinds: the scans of each kind of data; for each body that lies wholly inside a scan, whether it was detected.

    Raises:
        SettingError: there is no body.
    """
    rates = [_estimate([item for scan in scans for item in scan.items()]) for scans in kinds if any(scans)]
    if not rates:
        raise SettingError("miss rates are estimated from bodies that lie wholly inside a scan, got none")
    groups = [group.name for group in fields(MissRates)]
    return MissRates(**{group: round(float(np.mean([rate[group] for rate in rates])), 4) for group in groups})


def _estimate(bodies: Sequence[tuple[Level, bool]]) -> dict[str, float]:
    seen = Counter(find_group(level) for level, _ in bodies)
    missed = Counter(find_group(level) for level, is_detected in bodies if not is_detected)
    pooled = (missed.total() + 1) / (seen.total() + 2)
    return {
        group.name: (missed[group.name] + 1) / (seen[group.name] + 2)
        if missed.total() >= MIN_MISSES and seen[group.name] >= MIN_BODIES
        else pooled
        for group in fields(MissRates)
    }
