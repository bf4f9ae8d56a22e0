"""The files of a report: the one table that the writer reads. A file is one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from spondyl.findings import Findings
from spondyl.reading import Reading

__all__ = ["OUTPUTS", "Output", "Report"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """The source of all files of a report.

    Args:
        findings: what to report.
        reading: what they were made from, with the scan.
    """

    findings: Findings
    reading: Reading

    @cached_property
    def overview_png(self) -> bytes:
        """The picture, drawn once for all files that show it."""
        from spondyl.report.overview import draw_overview

        return draw_overview(self.findings, self.reading.study.sagittal)


@dataclass(frozen=True, slots=True)
class Output:
    """One file of a report.

    Args:
        name: of the file.
        is_wanted: whether this report has it.
        content: its bytes.
    """

    name: str
    is_wanted: Callable[[Report], bool]
    content: Callable[[Report], bytes]


def _always(_report: Report) -> bool:
    return True


def _json(report: Report) -> bytes:
    return report.findings.to_json().encode()


def _vertebrae_csv(report: Report) -> bytes:
    from spondyl.report.tables import vertebrae_csv

    return vertebrae_csv(report.findings).encode()


def _discs_csv(report: Report) -> bytes:
    from spondyl.report.tables import discs_csv

    return discs_csv(report.findings).encode()


def _measurements_csv(report: Report) -> bytes:
    from spondyl.report.tables import measurements_csv

    return measurements_csv(report.findings).encode()


def _html(report: Report) -> bytes:
    from spondyl.report.page import html_report

    return html_report(report.findings, report.overview_png).encode()


def _segmentation(report: Report) -> bytes:
    from spondyl.imaging.write import to_nifti_gz
    from spondyl.report.masks import rasterise

    volume, stack = report.reading.study.volume, report.reading.study.sagittal
    mask = rasterise(report.findings, volume.grid, stack.affine)
    return to_nifti_gz(mask, volume.affine)


OUTPUTS: tuple[Output, ...] = (
    Output("report.json", _always, _json),
    Output("vertebrae.csv", _always, _vertebrae_csv),
    Output("discs.csv", lambda report: bool(report.findings.discs), _discs_csv),
    Output("measurements.csv", lambda report: bool(report.findings.measurements), _measurements_csv),
    Output("segmentation.nii.gz", lambda report: bool(report.findings.vertebrae), _segmentation),
    Output("overview.png", _always, lambda report: report.overview_png),
    Output("report.html", _always, _html),
)
