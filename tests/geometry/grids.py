"""Grids as hypothesis draws them: any order and direction of axes, turned and spaced at will."""

from itertools import permutations

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from spondyl.geometry.affine import Affine


@st.composite
def affines(
    draw: st.DrawFn, *, max_turn_deg: float = 180.0, min_mm: float = 0.3, max_mm: float = 5.0, min_turn_deg: float = 0.0
) -> Affine:
    """Affines whose axes are the world's, permuted, flipped and then turned about any axis.

    Args:
        draw: hypothesis' own.
        max_turn_deg: largest angle of the turn.
        min_mm: smallest spacing.
        max_mm: largest spacing.
        min_turn_deg: smallest angle of the turn.
    """
    permutation = np.eye(3)[:, list(draw(st.sampled_from(list(permutations(range(3))))))]
    signs = draw(st.tuples(*[st.sampled_from((-1, 1))] * 3))
    about = np.array(draw(st.tuples(*[st.integers(-5, 5)] * 3).filter(any)), dtype=float)
    angle = np.radians(draw(st.floats(min_turn_deg, max_turn_deg)))
    turn = Rotation.from_rotvec(about / np.linalg.norm(about) * angle).as_matrix()
    spacing_mm = draw(st.tuples(*[st.floats(min_mm, max_mm)] * 3))
    origin_mm = draw(st.tuples(*[st.floats(-200, 200)] * 3))
    return Affine.from_axes(turn @ permutation * signs, spacing_mm, origin_mm)
