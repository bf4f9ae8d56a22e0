"""Distances, curves and sizes of phantoms and of real spines, measured alike.

Means should agree within 5 % (angles within 1 degree) and deviations within 25 %. Both are taken after values further
than 3.5 robust deviations from the median are left out, since the real points hold slips. Phantoms are measured as
they are scanned, with their pathology.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import is_possible_pair
from spondyl.datasets.real_columns import (
    Bodies,
    Spine,
    read_mask_bodies,
    read_mesh_bodies,
    read_mr_bodies,
    read_verse,
    read_vid,
)
from spondyl.errors import InputError, SettingError
from spondyl.geometry.affine import Float
from spondyl.metrics.tables import format_table
from spondyl.phantom.column.column import Column, corners_ras_mm, pedicle_points_ras_mm, place_column
from spondyl.phantom.column.draw import draw_plan
from spondyl.phantom.pathology.draw import draw_pathology
from spondyl.phantom.pathology.pathology import apply_pathology

__all__ = [
    "Spread",
    "compare_sizes",
    "judge",
    "measure_bodies_mm",
    "measure_curvatures_deg",
    "measure_pedicles_mm",
    "measure_spacings_mm",
]

_MEAN_TOLERANCE, _ANGLE_TOLERANCE_DEG, _SD_TOLERANCE = 0.05, 1.0, 0.25
_MIN_VALUES = 5
"""Number of values below which nothing is compared."""

Values = Mapping[str, Sequence[float]]
"""Measured values by the name of the quantity, head to foot."""


def compare_sizes(data: Path, *, patients: int = 300) -> str:
    """Compare phantoms with every real spine in a folder.

    Args:
        data: holds `coordinates/`, `mr/`, `masks/`, `ct/` and `meshes/` of the public collection.
        patients: phantoms drawn, seeds 0, 1, ...

    Returns:
        Markdown: for each quantity a table of real and phantom means and deviations, their ratios, and a verdict.

    Raises:
        SettingError: fewer than two patients.
        InputError: the folder lacks the coordinates.
    """
    if patients < 2:
        raise SettingError(f"patients must be at least 2, got {patients}")
    missing = [name for name in ("vid_training.csv", "verse19_landmarks.csv") if not _coordinates(data, name).is_file()]
    if missing:
        raise InputError(f"no {missing[0]} in the folder coordinates of the data to compare with")
    columns = [_patient(seed) for seed in range(patients)]
    volunteers = [place_column(draw_plan(np.random.default_rng(seed))) for seed in range(patients)]
    parts = [
        _about(patients),
        *_spine_parts(data, columns),
        *_mr_parts(data, volunteers),
        *_specimen_parts(data, columns),
    ]
    return "\n\n".join(parts)


def _coordinates(data: Path, name: str) -> Path:
    return data / "coordinates" / name


def _patient(seed: int) -> Column:
    rng = np.random.default_rng(seed)
    plan = draw_plan(rng)
    return place_column(apply_pathology(plan, draw_pathology(rng, plan)))


def _about(patients: int) -> str:
    return (
        f"# Phantoms beside real spines\n\n{patients} phantoms. *yes*: mean within 5 % (angles: 1 degree) and "
        "deviation within 25 %. *chance*: what is further off is within two standard errors of so few real spines. "
        "Phantoms' centres scatter as the readers' do. "
        "*other point*: not counted, since the two mark different points of C1 or C2."
    )


# spines of points


def _spine_parts(data: Path, columns: Sequence[Column]) -> list[str]:
    """Compare each source, with the scatter of its readers' points and the quantities that are left out.

    Scatter, mm in each direction: from the negative covariance of neighbouring second differences (T2 to L4). VID marks
    C2 in the dens, VerSe the middle of the whole C1 and C2; phantoms, C2's body.
    """
    parts = []
    for source, spines, reader_sd_mm, apart in (
        ("VID", list(read_vid(_coordinates(data, "vid_training.csv"))), 0.3, ("C2/C3", "C2")),
        ("VerSe19", list(read_verse(_coordinates(data, "verse19_landmarks.csv"))), 0.8, ("C1/C2", "C2/C3", "C2")),
    ):
        phantoms = [_as_spine(column, reader_sd_mm, seed) for seed, column in enumerate(columns)]
        for title, measure, is_angle in _SPINE_MEASURES:
            if real := measure(spines):
                parts.append(_part(f"{title}, {source}", real, measure(phantoms), is_angle=is_angle, apart=apart))
    return parts


def _as_spine(column: Column, reader_sd_mm: float, seed: int) -> Spine:
    """A phantom's points as readers would have marked them."""
    pedicles = np.array([pedicle_points_ras_mm(vertebra) for vertebra in column.vertebrae])
    centres = np.array([vertebra.centre_ras_mm for vertebra in column.vertebrae])
    return Spine(
        levels=column.plan.numbering.levels,
        centres_ras_mm=centres + np.random.default_rng(seed).normal(0, reader_sd_mm, centres.shape),
        pedicle_distances_mm=np.linalg.norm(pedicles[:, 0] - pedicles[:, 1], axis=1),
    )


def measure_spacings_mm(spines: Iterable[Spine]) -> Values:
    """Measure the distances between the centres of neighbours, by pair."""
    values: dict[tuple[Level, Level], list[float]] = defaultdict(list)
    for spine in spines:
        lengths = np.linalg.norm(np.diff(spine.centres_ras_mm, axis=0), axis=1)
        for pair, length in zip(pairwise(spine.levels), lengths, strict=True):
            if is_possible_pair(*pair):
                values[pair].append(float(length))
    return {f"{upper}/{lower}": values[upper, lower] for upper, lower in sorted(values, key=lambda p: p[0].rank)}


def measure_pedicles_mm(spines: Iterable[Spine]) -> Values:
    """Measure the distances between the two pedicles of a vertebra, by level."""
    values: dict[Level, list[float]] = defaultdict(list)
    for spine in spines:
        if spine.pedicle_distances_mm is not None:
            for level, distance in zip(spine.levels, spine.pedicle_distances_mm, strict=True):
                values[level].append(float(distance))
    return _by_level(values)


def measure_curvatures_deg(spines: Iterable[Spine]) -> Values:
    """Measure the sagittal angle between the lines to the centres above and below, by level; lordosis is positive."""
    values: dict[Level, list[float]] = defaultdict(list)
    for spine in spines:
        up = -np.diff(spine.centres_ras_mm, axis=0)
        forward_deg = np.degrees(np.arctan2(up[:, 1], up[:, 2]))
        are_neighbours = [is_possible_pair(*pair) for pair in pairwise(spine.levels)]
        for i in range(1, len(up)):
            if are_neighbours[i - 1] and are_neighbours[i]:
                values[spine.levels[i]].append(float((forward_deg[i] - forward_deg[i - 1] + 180) % 360 - 180))
    return _by_level(values)


def _by_level(values: Mapping[Level, list[float]]) -> Values:
    return {level.value: values[level] for level in sorted(values, key=lambda level: level.rank)}


_SPINE_MEASURES: tuple[tuple[str, Callable[[Iterable[Spine]], Values], bool], ...] = (
    ("Distance of neighbouring centres, mm", measure_spacings_mm, False),
    ("Distance of the pedicles, mm", measure_pedicles_mm, False),
    ("Sagittal angle at each centre, degrees", measure_curvatures_deg, True),
)

# bodies as quadrilaterals


def _mr_parts(data: Path, volunteers: Sequence[Column]) -> list[str]:
    """Compare healthy phantoms, since most of the exams are of volunteers."""
    folders = [folder for name in ("lumbar_t2", "lumbar_gre") if (folder := data / "mr" / name).is_dir()]
    if not folders:
        return []
    real = _pooled(measure_bodies_mm(bodies) for folder in folders for bodies in read_mr_bodies(folder))
    drawn = _pooled(measure_bodies_mm(_as_bodies(column)) for column in volunteers)
    return [_part("Sizes of bodies and discs in the middle, MR masks, mm", real, drawn, is_angle=False)]


def _as_bodies(column: Column) -> Bodies:
    return {vertebra.level: corners_ras_mm(vertebra) for vertebra in column.vertebrae}


def _specimens(data: Path) -> Iterable[tuple[str, Bodies]]:
    meshes = {"thoracolumbar_T1_L3.npz": (0, -1), "lumbosacral_L1_S1.npz": (1, 0)}
    for name, forward_xy in meshes.items():
        if (path := data / "meshes" / name).is_file():
            yield path.stem, read_mesh_bodies(path, forward_xy=forward_xy)
    for path in [*sorted((data / "masks").glob("*_seg-vert_msk.nii.gz")), *sorted(data.glob("ct/*/*vert_msk.nii.gz"))]:
        bodies = read_mask_bodies(path)
        if len(bodies) > 1:
            yield path.name.split("_")[0], bodies


def measure_bodies_mm(bodies: Bodies) -> dict[str, float]:
    """Measure heights and depths of each body, and the height of each disc in its middle, from corners."""
    sizes: dict[str, float] = {}
    levels = sorted(bodies, key=lambda level: level.rank)
    for level in levels:
        posterior_superior, posterior_inferior, anterior_inferior, anterior_superior = bodies[level]
        sizes[f"{level} anterior height"] = _distance(anterior_superior, anterior_inferior)
        sizes[f"{level} posterior height"] = _distance(posterior_superior, posterior_inferior)
        sizes[f"{level} upper depth"] = _distance(posterior_superior, anterior_superior)
        sizes[f"{level} lower depth"] = _distance(posterior_inferior, anterior_inferior)
    for upper, lower in pairwise(levels):
        if is_possible_pair(upper, lower):
            above, below = bodies[upper][[1, 2]].mean(0), bodies[lower][[0, 3]].mean(0)
            sizes[f"{upper}/{lower} disc height"] = _distance(above, below)
    return sizes


def _distance(a: Float, b: Float) -> float:
    return float(np.linalg.norm(a - b))


def _pooled(patients: Iterable[Mapping[str, float]]) -> Values:
    values: dict[str, list[float]] = defaultdict(list)
    for sizes in patients:
        for name, size in sizes.items():
            values[name].append(size)
    return dict(sorted(values.items(), key=lambda item: _place_of(item[0])))


def _place_of(name: str) -> tuple[bool, int, str]:
    first, _, what = name.partition(" ")
    return "/" in first, Level(first.split("/")[0]).rank, what


def _specimen_parts(data: Path, columns: Sequence[Column]) -> list[str]:
    """Compare single persons: the mean ratio over the levels, and how unusual that is among phantoms."""
    specimens = {name: measure_bodies_mm(bodies) for name, bodies in _specimens(data)}
    if not specimens:
        return []
    drawn = _pooled(measure_bodies_mm(_as_bodies(column)) for column in columns)
    rows = []
    for name, sizes in specimens.items():
        for kind in ("anterior height", "posterior height", "upper depth", "lower depth", "disc height"):
            keys = [key for key in sizes if key.endswith(kind) and len(drawn.get(key, ())) >= _MIN_VALUES]
            if keys:
                rows.append((f"{name}, {kind}", *_specimen_cells(keys, sizes, drawn)))
    table = format_table(("one person, what", "n", "phantoms / real", "z", "verdict"), rows)
    return [f"## Single persons: meshes and masks of whole vertebrae\n\n{table}\n\n{_SPECIMEN_NOTE}"]


_SPECIMEN_NOTE = (
    "One person cannot agree within 5 %; *yes*: the person's mean ratio lies within two deviations of the phantoms' "
    "own. In old spines, and in the neck, a mask's corners are the tips of osteophytes and lips."
)


def _specimen_cells(keys: list[str], sizes: Mapping[str, float], drawn: Values) -> tuple[str, ...]:
    means = np.array([np.mean(drawn[key]) for key in keys])
    ratio = float(np.mean([sizes[key] for key in keys] / means))
    complete = min(len(drawn[key]) for key in keys)
    spread = float(np.std(np.mean([np.array(drawn[key][:complete]) for key in keys] / means[:, None], axis=0)))
    z = (ratio - 1) / spread
    return str(len(keys)), f"{1 / ratio:.2f}", f"{z:.1f}", "yes" if abs(z) <= 2 else "no"


# comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Number, mean and deviation of some values without those further than 3.5 robust deviations from the median."""

    count: int
    mean: float
    sd: float

    @classmethod
    def from_values(cls, values: Sequence[float]) -> Spread:
        """Measure at least one value."""
        x = np.asarray(values, dtype=np.float64)
        off = np.abs(x - np.median(x))
        kept = x[off <= 3.5 * 1.4826 * max(np.median(off), 1e-9)]
        return cls(count=len(kept), mean=float(kept.mean()), sd=float(kept.std()))


def judge(real: Spread, phantom: Spread, *, is_angle: bool) -> str:
    """Say "yes" where both tolerances hold, "chance" where the real sample is too small to deny it, else "no"."""
    tolerance = _ANGLE_TOLERANCE_DEG if is_angle else _MEAN_TOLERANCE * abs(real.mean)
    mean_off, sd_off = abs(phantom.mean - real.mean) - tolerance, abs(phantom.sd / real.sd - 1) - _SD_TOLERANCE
    if mean_off <= 0 and sd_off <= 0:
        return "yes"
    # standard errors of a mean and, relative, of a normal deviation
    doubt_mean, doubt_sd = 2 * real.sd / math.sqrt(real.count), 2 / math.sqrt(2 * real.count)
    if mean_off <= doubt_mean and sd_off <= doubt_sd:
        return "chance"
    return "no"


def _part(title: str, real: Values, phantom: Values, *, is_angle: bool, apart: Sequence[str] = ()) -> str:
    rows = []
    for name, values in real.items():
        if len(values) < _MIN_VALUES or len(phantom.get(name, ())) < _MIN_VALUES:
            continue
        a, b = Spread.from_values(values), Spread.from_values(phantom[name])
        verdict = "other point" if name in apart else judge(a, b, is_angle=is_angle)
        means = f"{b.mean - a.mean:+.1f}" if is_angle else f"{b.mean / a.mean:.2f}"
        numbers = (f"{a.mean:.1f}", f"{b.mean:.1f}", means, f"{a.sd:.1f}", f"{b.sd:.1f}", f"{b.sd / a.sd:.2f}")
        rows.append((name, str(a.count), *numbers, verdict))
    compared = "difference" if is_angle else "ratio"
    header = ("", "n", "real mean", "phantom mean", compared, "real sd", "phantom sd", "ratio", "verdict")
    verdicts = [row[-1] for row in rows if row[-1] != "other point"]
    held = f"{verdicts.count('yes')} of {len(verdicts)} hold, {verdicts.count('chance')} more within chance."
    return f"## {title}\n\n{held}\n\n{format_table(header, rows)}"
