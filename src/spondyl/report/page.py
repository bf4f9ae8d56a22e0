"""The report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from base64 import b64encode
from importlib.resources import files

from spondyl.findings import RESEARCH_USE, Findings
from spondyl.report.overview import COLOURS, UNCERTAIN_BELOW

__all__ = ["html_report"]


def html_report(findings: Findings, overview_png: bytes) -> str:
    """Render `report.html`.

    Args:
        findings: what the tables show.
        overview_png: the picture, embedded.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("spondyl.report").joinpath("report.html.j2").read_text("utf-8"))
    return template.render(
        findings=findings,
        overview=b64encode(overview_png).decode("ascii"),
        warnings=[warning for warning in findings.warnings if warning != RESEARCH_USE],
        research_use=RESEARCH_USE,
        colours={region.value: colour for region, colour in COLOURS.items()},
        uncertain_below=UNCERTAIN_BELOW,
    )
