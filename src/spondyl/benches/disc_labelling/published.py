"""The published results on disc points, and whether the papers' order of methods holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

__all__ = ["PUBLISHED", "PublishedRow", "describe_order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """The results of one method on the T1 and T2 scans of Spine Generic.

    Args:
        title: the method as the papers call it.
        measured: names of the methods here that are it, the most similar first.
        dtt_mm: mean and standard deviation of the distance, by contrast.
        fnr_percent: by contrast.
        fpr_percent: by contrast; None where the papers state none.
    """

    title: str
    measured: tuple[str, ...]
    dtt_mm: Mapping[str, tuple[float, float]]
    fnr_percent: Mapping[str, float]
    fpr_percent: Mapping[str, float | None]


def _row(title: str, measured: tuple[str, ...], *values: float | None) -> PublishedRow:
    """Make a row of DTT, its deviation, FNR and FPR on T1 and then on T2."""
    known = [value if value is not None else float("nan") for value in values]
    return PublishedRow(
        title=title,
        measured=measured,
        dtt_mm={"T1": (known[0], known[1]), "T2": (known[4], known[5])},
        fnr_percent={"T1": known[2], "T2": known[6]},
        fpr_percent={"T1": values[3], "T2": values[7]},
    )


PUBLISHED = (
    _row("template matching", ("template",), 1.97, 4.08, 8.1, 2.53, 2.05, 3.21, 11.1, 2.11),
    _row("Countception", ("countception",), 1.03, 2.81, 4.24, 0.9, 1.78, 2.64, 3.88, 1.5),
    _row("pose estimation", ("hourglass",), 1.32, 1.33, 0.32, 0.0, 1.31, 2.79, 1.2, 0.6),
    _row("U-Net", ("unet",), 1.45, 2.70, 7.3, 1.2, 1.80, 2.80, 5.4, 1.8),
    _row("Look-Once", ("shape-unet + look-once", "shape-unet"), 1.2, 1.90, 0.7, 0.0, 1.28, 2.61, 0.9, 0.0),
    _row("Swin-Net", ("swin-net",), 1.44, 1.22, 1.3, None, 1.86, None, 4.61, None),
    _row("HCA-Net", ("hca-net",), 1.19, 1.08, 0.3, 0.0, 1.26, None, 0.61, 0.0),
    _row("MSA-Net", ("msa-net",), 0.98, 1.12, 0.28, 0.0, 1.05, 1.43, 0.85, 0.0),
)
"""Table 1 of Look-Once (arXiv 2204.02943) and the results of MSA-Net (Mathematics 13(23), 3811).

The deviations of HCA-Net and Swin-Net on T2 are not stated.
"""


def describe_order(contrast: str, measure: str, measured: Mapping[str, float], published: Mapping[str, float]) -> str:
    """Say in a sentence whether measured values have the order of the published ones.

    Args:
        contrast: of the scans.
        measure: what the values are, such as "DTT".
        measured: by title.
        published: by title, of at least the same methods; equal values have no order.
    """
    titles = [title for title in published if title in measured]
    pairs = [(one, other) for one, other in combinations(titles, 2) if published[one] != published[other]]
    if not pairs:
        return f"{contrast}, {measure}: fewer than two of the papers' methods were measured, so there is no order."
    agreeing = sum((measured[one] - measured[other]) * (published[one] - published[other]) > 0 for one, other in pairs)
    verdict = "is confirmed" if agreeing == len(pairs) else "is not confirmed"
    order = " < ".join(sorted(titles, key=lambda title: measured[title]))
    paper = " < ".join(sorted(titles, key=lambda title: published[title]))
    return (
        f"{contrast}, {measure}: the papers' order {verdict}, {agreeing} of {len(pairs)} pairs of methods are in it. "
        f"Measured: {order}. Published: {paper}."
    )
