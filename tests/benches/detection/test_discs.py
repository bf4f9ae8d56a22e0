"""Marked discs against reported bodies: nearest on either side, right names, and nothing far away."""

import numpy as np
import pytest

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.benches.detection.discs import judge_discs
from spondyl.datasets.disc_marks import find_disc_points
from spondyl.findings import Vertebra
from spondyl.geometry.affine import Affine
from spondyl.geometry.points import Landmarks
from spondyl.imaging.labels import LabelMap
from spondyl.reading import Candidates, Locate
from spondyl.stage import Structure
from spondyl.study import Study


def body(level: str, superior_mm: float, anterior_mm: float = 10.0) -> Vertebra:
    return Vertebra(
        level=Level(level),
        level_probability=0.9,
        level_probabilities={Level(level): 0.9},
        detection_score=0.9,
        centroid_mm=[0.0, anterior_mm, superior_mm],
        outline_mm=[[[0.0, 0.0, 0.0]] * 4],
        slices=(3,),
    )


NECK = [body("C3", 60.0), body("C4", 43.0), body("C5", 26.0)]
C3_C4, C4_C5, C5_C6 = (Disc.from_name(name) for name in ("C3/C4", "C4/C5", "C5/C6"))


def test_a_disc_is_named_when_both_neighbours_bear_their_names() -> None:
    (sides,) = judge_discs({C3_C4: np.array([0.0, 2.0, 51.0])}, NECK)
    assert (sides.above, sides.below) == (Level.C3, Level.C4)
    assert sides.is_found
    assert sides.is_named


def test_bodies_one_level_off_are_found_but_not_named() -> None:
    (sides,) = judge_discs({C4_C5: np.array([0.0, 2.0, 51.0])}, NECK)
    assert sides.is_found
    assert not sides.is_named


def test_a_body_out_of_reach_is_none() -> None:
    (sides,) = judge_discs({C5_C6: np.array([0.0, 2.0, -10.0])}, NECK)
    assert sides.above is None
    assert not sides.is_found


def test_nothing_reported_is_nothing_found() -> None:
    (sides,) = judge_discs({C3_C4: np.zeros(3)}, [])
    assert (sides.above, sides.below, sides.is_found, sides.is_named) == (None, None, False, False)


def test_points_are_the_middles_of_their_voxels_in_world_space() -> None:
    codes = np.zeros((4, 5, 6), np.uint16)
    codes[1, 2, 3] = codes[1, 2, 4] = 4
    codes[0, 0, 0] = 50  # a landmark that is no disc
    affine = Affine.from_axes(np.eye(3), (1.0, 1.0, 2.0), (-5.0, 0.0, 10.0))
    points = find_disc_points(LabelMap(codes=codes, affine=affine))
    assert list(points) == [C3_C4]
    assert points[C3_C4] == pytest.approx([-4.0, 2.0, 17.0])


def open_marks(_networks: object) -> Locate:
    """A method that finds the first two marks, 2 mm too far behind, and one disc too many."""

    def locate(_study: Study) -> Candidates:
        points = np.array([[0.0, 2, 51], [0, 2, 34], [0, 2, 200]])
        return Candidates(
            structure=Structure.DISC,
            centres=Landmarks(points_ras_mm=points, scores=np.ones(3)),
            posterior_ras_mm=points - (0, 2, 0),
        )

    return locate
