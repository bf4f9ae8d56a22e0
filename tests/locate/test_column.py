"""The column among what looks like bodies: the heaviest chain that keeps its direction."""

from dataclasses import replace

import numpy as np
import pytest

from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance
from spondyl.locate.column import keep_column


def stack_affine(row_mm: float = 1.0) -> Affine:
    """Of a sagittal stack with columns of 1 mm."""
    return Affine.from_axes([[-1, 0, 0], [0, 0, -1], [0, -1, 0]], (4, row_mm, 1), (0, 0, 0))


def body(
    row: float, column: float, *, tilt_deg: float = 0.0, size: float = 24.0, score: float = 0.9
) -> VertebraInstance:
    """A square around a middle; a positive tilt lowers its front, the left side of the image."""
    angle = np.radians(tilt_deg)
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    square = np.array([(-1, 1), (1, 1), (1, -1), (-1, -1)]) * size / 2
    outline = square @ turn.T + (row, column)
    return VertebraInstance(slices=(3,), outlines=outline[None], score=score, affine=stack_affine())


COLUMN = [body(30.0 * n, 100 + 3.0 * n, tilt_deg=-5) for n in range(6)]


def test_a_column_is_kept_whole_whatever_order_it_comes_in() -> None:
    assert keep_column(COLUMN[::-1]) == tuple(COLUMN)
    assert keep_column([]) == ()


def test_spinous_processes_between_the_bodies_are_left_out() -> None:
    spines = [body(15 + 30.0 * n, 145 + 3.0 * n, size=12, score=0.7) for n in range(5)]
    assert keep_column([*COLUMN, *spines]) == tuple(COLUMN)


def test_a_body_drawn_twice_at_one_height_counts_once() -> None:
    twin = body(62.0, 112.0, score=0.6)
    assert keep_column([*COLUMN, twin]) == tuple(COLUMN)


def test_a_sacrum_that_turns_away_belongs_to_the_column() -> None:
    lumbar = [body(36.0 * n, 100.0, tilt_deg=5 * n, size=28) for n in range(4)]
    sacrum = body(3 * 36.0 + 28, 100 + 18.0, tilt_deg=45, size=28, score=0.75)
    assert keep_column([*lumbar, sacrum]) == (*lumbar, sacrum)


def test_a_body_that_was_missed_does_not_break_the_column() -> None:
    gappy = [*COLUMN[:2], *COLUMN[4:]]
    assert keep_column(gappy) == tuple(gappy)


def test_something_far_above_the_column_is_no_part_of_it() -> None:
    head = body(-200.0, 90.0, size=30, score=0.6)
    assert keep_column([head, *COLUMN]) == tuple(COLUMN)


@pytest.mark.parametrize("row_mm", [0.5, 2.0])
def test_directions_are_judged_in_millimetres(row_mm: float) -> None:
    def squeezed(one: VertebraInstance) -> VertebraInstance:
        return replace(one, outlines=one.outlines / (row_mm, 1.0), affine=stack_affine(row_mm))

    spines = [body(15 + 30.0 * n, 145 + 3.0 * n, size=12, score=0.7) for n in range(5)]
    kept = keep_column([squeezed(one) for one in (*COLUMN, *spines)])
    assert [one.score for one in kept] == [0.9] * len(COLUMN)
