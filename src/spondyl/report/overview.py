"""The picture of a scan: the mid-sagittal view along the spine, with outlines, level names and their probabilities."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spondyl.anatomy.level import Region
from spondyl.findings import Findings
from spondyl.geometry.affine import Float
from spondyl.geometry.stack import SagittalStack
from spondyl.report.fonts import import_matplotlib
from spondyl.report.placed import PlacedDisc, PlacedVertebra, place_discs, place_vertebrae

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "UNCERTAIN_BELOW", "draw_overview", "follow_spine", "slice_positions"]

UNCERTAIN_BELOW = 0.8
"""A level with a lower probability carries a question mark."""

COLOURS = {
    Region.CERVICAL: "#56b4e9",
    Region.THORACIC: "#3ddc97",
    Region.LUMBAR: "#ffb000",
    Region.SACRAL: "#e78ac3",
}
"""Colours that people with the common kinds of colour blindness can distinguish, after Okabe and Ito, brightened for a
black ground."""

_BACKGROUND = "#0b0d10"
_QUIET = "#8a929c"
_DISC = "#d5dbe3"
_HEIGHT_INCHES = 9.0
_MAX_WIDTH_INCHES = 12.0
_DPI = 130
_GAMMA = 0.75  # fat and CSF outshine marrow on most MR; this lifts it without clipping them
_NARROWEST = 0.45  # of the height; a narrower scan gets dark margins, which hold the labels
_MARGIN_MM = 4.0
_LABEL_ROOM = 0.085  # width of a label over the height of the picture
_BLUR_FREE_SLICES = 1.5
"""A spine that strays less than this is shown in one slice, since mixing neighbours only blurs it."""


def draw_overview(findings: Findings, stack: SagittalStack) -> bytes:
    """Draw the overview.

    Args:
        findings: vertebrae and discs in RAS mm.
        stack: the scan in sagittal order.

    Returns:
        A PNG file.
    """
    import_matplotlib()
    vertebrae = place_vertebrae(findings, stack.affine)
    discs = place_discs(findings, stack.affine)
    centres = [*(vertebra.centroid for vertebra in vertebrae), *(disc.centre for disc in discs)]
    positions = slice_positions(np.array(centres).reshape(-1, 3), stack.voxels.shape)
    image = follow_spine(stack, positions)
    figure, axes = _dark_figure(image, stack.pixel_mm)
    for vertebra in vertebrae:
        _draw_vertebra(axes, vertebra, positions, stack.pixel_mm)
    for disc in discs:
        _draw_disc(axes, disc, stack.pixel_mm)
    _draw_surroundings(axes, findings, float(image.shape[0] * stack.pixel_mm[0]))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI, facecolor=_BACKGROUND, metadata={"Software": None})
    return picture.getvalue()


def slice_positions(centres: Float, shape: tuple[int, ...]) -> Float:
    """The slice position, one per row of the stack, in which the spine is seen best.

    Args:
        centres: (n, 3) of vertebrae and discs in the stack's index space.
        shape: of the stack, (slices, rows, columns).

    Returns:
        (rows,) continuous positions: the structures' own, interpolated between them and constant beyond; one whole
        slice where the spine hardly strays from it, the middle slice where nothing was found.
    """
    slices, rows, _ = shape
    if not len(centres):
        return np.full(rows, float(slices // 2))
    if np.ptp(centres[:, 0]) < _BLUR_FREE_SLICES:
        return np.full(rows, float(np.clip(np.round(np.median(centres[:, 0])), 0, slices - 1)))
    descending = centres[np.argsort(centres[:, 1], kind="stable")]
    followed = np.interp(np.arange(rows), descending[:, 1], descending[:, 0])
    return np.asarray(np.clip(followed, 0, slices - 1))


def follow_spine(stack: SagittalStack, positions: Float) -> NDArray[np.float32]:
    """Sample each row of a stack at its own slice position (rows,), linearly between slices; (rows, columns)."""
    below = np.floor(positions).astype(int)
    above = np.minimum(below + 1, stack.voxels.shape[0] - 1)
    rows = np.arange(len(positions))
    share = (positions - below)[:, None]
    return np.asarray(stack.voxels[below, rows] * (1 - share) + stack.voxels[above, rows] * share, dtype=np.float32)


def _dark_figure(image: NDArray[np.float32], pixel_mm: Float) -> tuple[Figure, Axes]:
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure  # not pyplot: no global state, no window system

    height_mm, width_mm = np.array(image.shape) * pixel_mm
    shown_mm = max(width_mm, _NARROWEST * height_mm)
    width = min(_HEIGHT_INCHES * shown_mm / height_mm, _MAX_WIDTH_INCHES)
    figure = Figure(figsize=(width, width * height_mm / shown_mm), facecolor=_BACKGROUND)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    low, high = np.percentile(image[image > image.min()], (1, 99.5)) if np.ptp(image) > 0 else (0, 1)
    left, top = -pixel_mm[1] / 2, -pixel_mm[0] / 2  # outer edges of the first pixel, whose centre is 0
    extent = (left, left + width_mm, top + height_mm, top)
    norm = PowerNorm(_GAMMA, low, high, clip=True)
    axes.imshow(image, cmap="gray", norm=norm, extent=extent, interpolation="bicubic", aspect="equal")
    margin_mm = (shown_mm - width_mm) / 2
    axes.set_xlim(left - margin_mm, left + width_mm + margin_mm)
    axes.set_ylim(extent[2], extent[3])
    return figure, axes


def _draw_vertebra(axes: Axes, vertebra: PlacedVertebra, positions: Float, pixel_mm: Float) -> None:
    row = int(np.clip(round(vertebra.centroid[1]), 0, len(positions) - 1))
    nearest = int(np.abs(vertebra.slices - positions[row]).argmin())
    corners_mm = vertebra.outlines[nearest] * pixel_mm
    colour = COLOURS[vertebra.level.region]
    closed = np.vstack([corners_mm, corners_mm[:1]])
    axes.plot(closed[:, 1], closed[:, 0], color=colour, linewidth=1.1, solid_joinstyle="round")
    is_uncertain = vertebra.probability < UNCERTAIN_BELOW
    name = f"{vertebra.level}{'?' if is_uncertain else ''}"
    anterior_mm, posterior_mm = corners_mm[:, 1].min(), corners_mm[:, 1].max()
    has_room = anterior_mm - axes.get_xlim()[0] > _LABEL_ROOM * len(positions) * pixel_mm[0]
    is_free = has_room and vertebra.level.region is not Region.SACRAL  # in front of S2 lies S1
    x_mm = anterior_mm - _MARGIN_MM if is_free else posterior_mm + _MARGIN_MM
    y_mm = corners_mm[:, 0].mean()
    text = f"{name}  {vertebra.probability:.2f}"
    side = "right" if is_free else "left"
    _write(axes, x_mm, y_mm, text, colour, ha=side, va="center", fontsize=9.5, fontweight="bold")


def _draw_disc(axes: Axes, disc: PlacedDisc, pixel_mm: Float) -> None:
    """Mark the centre of a disc and its posterior edge, with its name behind it."""
    row_mm, column_mm = disc.centre[1:] * pixel_mm
    axes.plot(column_mm, row_mm, "o", color=_DISC, markersize=3.2, markeredgecolor=_BACKGROUND, markeredgewidth=0.6)
    if disc.posterior_edge is not None:
        edge_row_mm, column_mm = disc.posterior_edge[1:] * pixel_mm
        axes.plot(column_mm, edge_row_mm, "|", color=_DISC, markersize=6, markeredgewidth=1.2)
    text = f"{disc.level}{'?' if disc.probability < UNCERTAIN_BELOW else ''}"
    _write(axes, column_mm + 3 * _MARGIN_MM, row_mm, text, _DISC, ha="left", va="center", fontsize=6.5)


def _draw_surroundings(axes: Axes, findings: Findings, height_mm: float) -> None:
    """Draw the orientation letters, a scale bar, and the program's name and version."""
    place = {"transform": axes.transAxes, "fontsize": 8}
    _write(axes, 0.5, 0.99, "H", _QUIET, ha="center", va="top", **place)
    _write(axes, 0.01, 0.5, "A", _QUIET, ha="left", va="center", **place)
    _write(axes, 0.99, 0.5, "P", _QUIET, ha="right", va="center", **place)
    bar_mm = 50.0 if height_mm > 150 else 10.0
    length = bar_mm / height_mm
    axes.plot([0.975, 0.975], [0.02, 0.02 + length], color=_QUIET, linewidth=1.4, transform=axes.transAxes)
    _write(axes, 0.965, 0.02, f"{bar_mm:.0f} mm", _QUIET, ha="right", va="bottom", **place)
    what = "nothing found" if findings.is_empty else "level and probability"
    text = f"Spondyl {findings.software.version} · {what}\nresearch use, not a medical device"
    _write(axes, 0.012, 0.02, text, _QUIET, ha="left", va="bottom", **place)


def _write(axes: Axes, x: float, y: float, text: str, colour: str, **style: Any) -> None:
    """Text with a dark rim, legible on any tissue."""
    from matplotlib.patheffects import withStroke

    axes.text(x, y, text, color=colour, path_effects=[withStroke(linewidth=2.4, foreground=_BACKGROUND)], **style)
