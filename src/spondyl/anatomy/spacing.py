"""Distances between the centroids of neighbouring vertebral bodies."""

from __future__ import annotations

from dataclasses import dataclass

from spondyl.anatomy.level import Level
from spondyl.errors import SettingError

__all__ = ["VID", "PairSpacing", "SpacingTable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSpacing:
    """The distance between two neighbouring centroids, its mean and deviation over patients, mm."""

    upper: Level
    lower: Level
    mean_mm: float
    sd_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpacingTable:
    """Published distances, one per pair of neighbours in any numbering variant.

    Args:
        pairs: the distances; a pair appears once.
        within_patient: share of a pair's standard deviation that remains when the patient's size is known.

    Raises:
        SettingError: a pair appears twice, or a number is not positive.
    """

    pairs: tuple[PairSpacing, ...]
    within_patient: float

    def __post_init__(self) -> None:
        names = {(pair.upper, pair.lower) for pair in self.pairs}
        numbers = [self.within_patient, *(x for pair in self.pairs for x in (pair.mean_mm, pair.sd_mm))]
        if len(names) != len(self.pairs) or min(numbers) <= 0:
            raise SettingError("a spacing table must name each pair once, with positive numbers in mm")

    def between(self, upper: Level, lower: Level) -> PairSpacing:
        """Return the spacing of two neighbours.

        Raises:
            SettingError: the table has no such pair.
        """
        for pair in self.pairs:
            if (pair.upper, pair.lower) == (upper, lower):
                return pair
        raise SettingError(f"no spacing is known between {upper} and {lower}")


def _table(rows: str) -> tuple[PairSpacing, ...]:
    """Parse lines "upper lower mean sd"."""
    fields = [line.split() for line in rows.strip().splitlines()]
    return tuple(
        PairSpacing(upper=Level(upper), lower=Level(lower), mean_mm=float(mean), sd_mm=float(sd))
        for upper, lower, mean, sd in fields
    )


# Pairs that VerSe and VID hold too rarely or not at all, as shares of well-measured ones.
# L5/S1: 0.967 (sd 0.044) of L4/L5, measured on 42 lumbar MR exams whose S1 was outlined for this project.
# S1/S2: half of S1's height (29.4 mm in the same exams, L4/L5 37.4 mm), half of S2's, taken as 0.85 of S1's, and a
#   remnant disc of 2.5 mm: 0.80 of L4/L5; no measurement, hence the wide deviation.
# T12/T13 and T13/L1: on the line from T11/T12 over T12/L1 to L1/L2. T11/L1 (no T12): VID, 8 spines, deviation as
#   T12/L1's. L4/S1 (no L5) and L6/S1: as L5/S1.

VID = SpacingTable(
    pairs=_table("""
        C1 C2 17.2 1.9
        C2 C3 20.5 4.0
        C3 C4 17.8 2.0
        C4 C5 17.2 1.6
        C5 C6 16.7 1.4
        C6 C7 17.5 1.8
        C7 T1 19.7 1.6
        T1 T2 20.8 1.9
        T2 T3 20.9 1.8
        T3 T4 21.0 1.5
        T4 T5 21.6 1.6
        T5 T6 22.1 1.7
        T6 T7 22.6 2.0
        T7 T8 23.3 1.7
        T8 T9 24.0 1.9
        T9 T10 25.2 2.1
        T10 T11 27.2 2.3
        T11 T12 29.6 2.3
        T11 L1 29.7 2.4
        T12 T13 31.0 2.6
        T12 L1 32.4 2.4
        T13 L1 33.2 2.6
        L1 L2 34.5 2.5
        L2 L3 35.7 2.7
        L3 L4 36.5 2.5
        L4 L5 36.3 2.9
        L5 L6 37.4 2.6
        L4 S1 35.1 3.2
        L5 S1 35.1 3.0
        L6 S1 35.1 3.2
        S1 S2 29.0 3.5
    """),
    within_patient=0.65,
)
"""Medians and robust deviations (1.4826 times the median absolute one) of the 1,947 CT spines of the VID training set
(ImFusion, CC BY-SA 4.0), measured for this project.

C2/C3 lies between VID (24.2: its point is in the dens) and VerSe20 (18.5: in the body) and is wide accordingly.
Once the patient's median ratio is divided out, 0.54 to 0.75 of a deviation remains, by pair.
On MR exams with segmented bodies (13 T2, 30 gradient echo) every pair T11 to L5 is 1.02 to 1.08 times this table,
with the same factor within 3 % inside each set; against VerSe20, an older cohort, the factor drifts from 1.07 to 1.20.
"""

VERSE20 = SpacingTable(
    pairs=_table("""
        C1 C2 17.1 2.0
        C2 C3 18.5 1.6
        C3 C4 15.9 2.0
        C4 C5 16.1 1.8
        C5 C6 16.1 1.5
        C6 C7 17.7 1.6
        C7 T1 18.8 1.2
        T1 T2 20.9 1.7
        T2 T3 22.2 1.5
        T3 T4 22.3 1.5
        T4 T5 22.8 1.4
        T5 T6 23.5 1.5
        T6 T7 24.0 1.5
        T7 T8 24.3 1.5
        T8 T9 24.9 1.5
        T9 T10 25.7 1.6
        T10 T11 27.6 1.8
        T11 T12 29.8 1.8
        T11 L1 30.5 2.2
        T12 T13 31.2 2.2
        T12 L1 32.0 2.2
        T13 L1 32.8 2.3
        L1 L2 33.4 2.4
        L2 L3 34.1 2.4
        L3 L4 33.8 2.6
        L4 L5 31.7 2.7
        L5 L6 31.6 3.0
        L4 S1 30.7 2.9
        L5 S1 30.7 2.7
        L6 S1 30.7 2.9
        S1 S2 25.4 3.2
    """),
    within_patient=0.65,
)
"""Landmarks of the VerSe20 training set (113 CT scans, Sekuboyina et al. 2021; C1 to L5).

T12/L1 is 32.9 (6.0) there because spines with T13 are counted in; here it lies between its neighbours.
L5/L6 is the mean of three VerSe19 spines; the other added pairs follow the shares above.
"""
