"""Grids and values: turned, sheared, huge, tiny, empty, and honest scans that are large."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spondyl.benches.hostile.base import make_base_affine, make_base_voxels
from spondyl.benches.hostile.case import ANY, Call, Case, Family, Workspace
from spondyl.benches.hostile.nifti.damage import DATA_AT, NAME, make_nifti, pack_dim, patch_header

__all__ = ["list_geometry_cases"]

_GRID, _VALUES = Family("grid"), Family("values")
_LARGE = "large scan"
_LARGE_LIMIT_S = 180.0
_SPARE_GB = 1.0


def list_geometry_cases() -> Iterator[Case]:
    """List all cases of grids, of values, and of large scans."""
    yield from _turned()
    yield from _spaced()
    yield from _shaped()
    yield from _valued()
    yield from (_large(size) for size in _SIZES)


def _placed(affine: NDArray[np.float64], site: Workspace) -> Path:
    return site.put(NAME, make_nifti(make_base_voxels(), affine))


def _about(axis: int, degrees: float) -> NDArray[np.float64]:
    """A rotation about a world axis."""
    turn, angle = np.eye(4), np.radians(degrees)
    first, second = (other for other in range(3) if other != axis)
    turn[first, first] = turn[second, second] = np.cos(angle)
    turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
    return turn


def _turned() -> Iterator[Case]:
    base = make_base_affine()
    for axis, name in enumerate(("left-right", "front-back", "head-foot")):
        for degrees in (10, 45, 90):
            yield _GRID.handled(
                f"turned {degrees} degrees about {name}", partial(_placed, _about(axis, degrees) @ base)
            )
    yield _GRID.handled(
        "turned 45 degrees about every axis", partial(_placed, _about(0, 45) @ _about(1, 45) @ _about(2, 45) @ base)
    )
    for row in range(3):
        for column in range(3):
            if row != column:
                sheared = base.copy()
                sheared[:3, column] += 0.7 * np.linalg.norm(base[:3, column]) * np.eye(3)[row]
                yield _GRID.handled(f"axis {column} sheared towards {'xyz'[row]}", partial(_placed, sheared))
    flat = base.copy()
    flat[:3, 1] = flat[:3, 2] * 0.999 + flat[:3, 1] * 0.001
    yield _GRID.refused("two axes that are almost one", partial(_placed, flat))


def _spaced() -> Iterator[Case]:
    for name, factors in {
        "0.001 mm pixels": (1, 0.0004, 0.0004),
        "1e-6 mm everything": (1e-6, 1e-6, 1e-6),
        "10 m field of view": (35, 35, 35),
        "10 m from head to foot": (1, 35, 1),
        "1 km pixels": (1, 1e6, 1e6),
    }.items():
        yield _GRID.refused(name, partial(_placed, make_base_affine() @ np.diag([*factors, 1])))
    for name, factors in {
        "1000 mm between slices": (227, 1, 1),
        "1e6 mm between slices": (2.3e5, 1, 1),
        "0.001 mm between slices": (0.0002, 1, 1),
        "pixels of 1 x 10": (1, 4, 0.4),
        "pixels of 10 x 1": (1, 0.4, 4),
    }.items():
        yield _GRID.handled(name, partial(_placed, make_base_affine() @ np.diag([*factors, 1])))
    for name, factors in {"slices": (227, 1, 1), "rows": (1, 0.001, 1)}.items():
        turned = _about(1, 45) @ _about(2, 45) @ make_base_affine() @ np.diag([*factors, 1])
        yield _GRID.refused(f"turned 45 degrees twice, {name} far too wide or narrow", partial(_placed, turned))
    for distance_mm in (1e5, 1e7, 1e9, 1e30):
        far = make_base_affine()
        far[:3, 3] += distance_mm
        case = _GRID.handled if distance_mm < 1e9 else _GRID.refused
        yield case(f"{distance_mm:g} mm from the origin", partial(_placed, far))


def _shaped() -> Iterator[Case]:
    whole = make_base_voxels()
    for name, part in {
        "2 x 2 x 2": whole[:2, :2, :2],
        "one voxel": whole[:1, :1, :1],
        "one slice": whole[7:8],
        "one row": whole[:, 60:61],
        "one column": whole[:, :, 60:61],
        "2 slices": whole[6:8],
        "2 rows": whole[:, 60:62],
        "9 rows": whole[:, 60:69],
        "12 columns": whole[:, :, 50:62],
        "every 4th pixel": whole[:, ::4, ::4],
    }.items():
        yield _GRID.handled(name, partial(_cropped, part))
    for axes in ((1, 0, 2), (2, 1, 0), (1, 2, 0)):
        yield _GRID.alike(f"axes in the order {axes}", partial(_permuted, axes))
    yield _GRID.handled("1 x 1 x 32767", lambda site: _flat(site, (1, 1, 32767)))
    yield _GRID.handled("32767 slices of 2 x 2", lambda site: _flat(site, (32767, 2, 2)))
    yield _GRID.handled("2 slices of 2 x 32767", lambda site: _flat(site, (2, 2, 32767)))


def _cropped(part: NDArray[np.int16], site: Workspace) -> Path:
    return site.put(NAME, make_nifti(np.ascontiguousarray(part), make_base_affine()))


def _permuted(axes: tuple[int, int, int], site: Workspace) -> Path:
    return site.put(NAME, make_nifti(make_base_voxels().transpose(axes), make_base_affine()[:, [*axes, 3]]))


def _flat(site: Workspace, shape: tuple[int, int, int]) -> Path:
    return site.put(NAME, make_nifti(site.rng().integers(0, 900, shape, dtype=np.int16), make_base_affine()))


def _valued() -> Iterator[Case]:
    base = make_base_voxels().astype(np.float32)
    for name, value in {
        "not numbers": nan,
        "infinite": inf,
        "minus infinite": -inf,
        "0": 0.0,
        "1e38": 1e38,
        "-5": -5.0,
    }.items():
        yield _VALUES.refused(f"all {name}", partial(_stored, np.full_like(base, value)))
        changed = base.copy()
        changed[3:5, 40:50, 40:50] = value
        yield _VALUES.handled(f"some {name}", partial(_stored, changed))
    for name, changed in {
        "times 1e35": base * np.float32(1e35),
        "times -1e35": base * np.float32(-1e35),
        "times 1e-42": base * np.float32(1e-42),
        "negated": -base,
        "1e9 more": base + np.float32(1e9),
        "one voxel of 3e38": _with_spot(base, 3e38),
        "one voxel of -3e38": _with_spot(base, -3e38),
        "two values": (base > 400).astype(np.float32),
        "clipped at its median": np.minimum(base, np.median(base)),
    }.items():
        yield _VALUES.handled(name, partial(_stored, changed))
    yield _VALUES.alike("times 1000", partial(_stored, base * 1000))
    yield _VALUES.alike("a thousandth", partial(_stored, base / 1000))
    yield _VALUES.handled("1e300 in 64 bits", partial(_stored, base.astype(np.float64) * 1e300))
    yield _VALUES.handled("noise", lambda site: _stored(site.rng().normal(size=base.shape).astype(np.float32), site))
    yield _VALUES.handled(
        "a chequerboard", partial(_stored, (np.indices(base.shape).sum(axis=0) % 2).astype(np.float32))
    )
    yield _VALUES.refused("CT values, its kind guessed", partial(_stored, base - 1024))
    yield _VALUES.handled("CT values, called MR", partial(_stored, base - 1024), "--modality", "mr")
    yield _VALUES.refused("MR, called CT", partial(_stored, base), "--modality", "ct")


def _with_spot(voxels: NDArray[np.float32], value: float) -> NDArray[np.float32]:
    changed = voxels.copy()
    changed[0, 0, 0] = value
    return changed


def _stored(voxels: NDArray[Any], site: Workspace) -> Path:
    return site.put(NAME, make_nifti(voxels, make_base_affine()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """An honest large scan: the base one repeated to fill it.

    Args:
        name: how it is called.
        shape: (i, j, k): slices, rows, columns.
        spacing_mm: of each.
        statuses: that are right.
        is_packed: with gzip.
    """

    name: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    statuses: tuple[int, ...] = ANY
    is_packed: bool = False


_SIZES = (
    _Size(name="whole body, 130 x 591 x 140 at 3, 2 and 2 mm", shape=(130, 591, 140), spacing_mm=(3, 2, 2)),
    _Size(name="whole body, turned 45 degrees", shape=(130, 591, 140), spacing_mm=(3, 2, 2.0001)),
    _Size(name="1000 x 1000, 60 slices at 0.5 mm", shape=(60, 1000, 1000), spacing_mm=(2.5, 0.5, 0.5)),
    _Size(name="3000 x 3000, 5 slices at 0.12 mm", shape=(5, 3000, 3000), spacing_mm=(4, 0.12, 0.12)),
    _Size(name="512 x 512, 400 slices at 0.7 mm", shape=(400, 512, 512), spacing_mm=(0.7, 0.7, 0.7)),
    _Size(name="2000 slices of 100 x 100", shape=(2000, 100, 100), spacing_mm=(0.2, 2, 2), is_packed=True),
)


def _large(size: _Size) -> Case:
    voxels = int(np.prod(size.shape))
    return Case(
        name=size.name,
        family=_LARGE,
        prepare=partial(_tiled, size),
        calls=(Call(statuses=size.statuses),),
        voxels=voxels,
        limit_s=_LARGE_LIMIT_S,
    )


def _tiled(size: _Size, site: Workspace) -> Path:
    """Write slice by slice, so that the writer stays small; (i, j, k) lies with i fastest, so k counts the parts."""
    affine = make_base_affine() @ np.diag(
        [*np.divide(size.spacing_mm, np.linalg.norm(make_base_affine()[:3, :3], axis=0)), 1]
    )
    if "turned" in size.name:
        affine = _about(2, 45) @ affine
    head = patch_header(make_nifti(make_base_voxels(), affine)[:DATA_AT], dim=pack_dim(*size.shape))
    path = site.scans / (f"{NAME}.gz" if size.is_packed else NAME)
    rows = np.arange(size.shape[1]) % make_base_voxels().shape[1]
    slices = np.arange(size.shape[0]) % make_base_voxels().shape[0]
    with _opened(path) as stream:
        stream.write(head)
        for column in range(size.shape[2]):
            plane = make_base_voxels()[:, :, column % make_base_voxels().shape[2]]
            stream.write(plane[np.ix_(slices, rows)].tobytes(order="F"))
    return path


def _opened(path: Path) -> Any:
    return gzip.open(path, "wb", compresslevel=1) if path.suffix == ".gz" else path.open("wb")
