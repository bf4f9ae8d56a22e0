"""What a card tells of a training: the code and the data that made the weights, and the settings that they run with."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import spondyl
from spondyl.datasets.exams import Exam
from spondyl.identify.evidence import STAND_INS
from spondyl.identify.order import OrderCosts
from spondyl.learn.recipes.context import HEIGHTS
from spondyl.locate.vfr import CLOSE_MM, WORKING_MM
from spondyl.nets.cards import Setting

__all__ = ["SIMULATED", "commit", "describe_exams", "describe_phantoms", "settings_of"]

SIMULATED = (
    "columns simulated from published spacings (anatomy/spacing.py): VID, ImFusion; licence: CC BY-SA 4.0",
    "columns simulated from published spacings (anatomy/spacing.py): VerSe, Sekuboyina et al. 2021; "
    "licence: CC BY-SA 4.0",
)
"""What the recipes without scans learn from."""

_ANNOTATIONS = "bodies outlined by hand for this project (datasets/annotations); licence: Apache-2.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """Who made a set of exams, and under which licence."""

    citation: str
    licence: str


_REHOSTED = "none stated where it was taken from, a repository under GPL-3.0 (JonathanRamos/fastcleverseg)"

_OWNERS = {
    "lumbar_t2": _Owner(citation="Chu et al. 2015, doi 10.1371/journal.pone.0143327: lumbar T2", licence=_REHOSTED),
    "lumbar_gre": _Owner(
        citation="MyoSegmenTUM spine, Burian et al. 2019, doi 10.1186/s12891-019-2528-x: lumbar GRE", licence=_REHOSTED
    ),
    "discs_t2": _Owner(citation="Menezes-Reis et al. 2016, doi 10.21037/qims.2016.08.01: lumbar T2", licence=_REHOSTED),
}
"""By the name of the set, which is that of an exam without its number (datasets/split.json)."""


def commit() -> str:
    """The commit of the checkout that runs, with "+changes" where its sources differ; the version outside of one."""
    root = Path(spondyl.__file__).parents[2]
    if not (root / ".git").exists():
        return spondyl.__version__
    try:
        head = _git(root, "rev-parse", "--short", "HEAD")
        changes = _git(root, "status", "--porcelain", "--", "src")
    except (OSError, subprocess.SubprocessError):
        return spondyl.__version__
    return f"{head}+changes" if changes else head


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def describe_exams(exams: Sequence[Exam]) -> tuple[str, ...]:
    """One sentence for each set of labelled scans, with the licence that its owner states."""
    patients = Counter(exam.name.rpartition("_")[0] for exam in exams)
    return (*(_describe(name, count) for name, count in patients.items()), _ANNOTATIONS)


def _describe(name: str, patients: int) -> str:
    owner = _OWNERS.get(name, _Owner(citation="labelled scans", licence="none stated"))
    people = "1 patient" if patients == 1 else f"{patients} patients"
    return f"{owner.citation}, {people} of the training split; licence: {owner.licence}"


def describe_phantoms(exams: Sequence[Exam], seeds: range) -> tuple[str, ...]:
    """One sentence for phantoms, each exam of which is one contrast of a patient."""
    patients = {exam.name.rpartition("_")[0] for exam in exams}
    return (
        f"Spondyl's own phantoms (spondyl.phantom): {len(patients)} patients drawn from published morphometry, "
        f"seeds {seeds[0]} to {seeds[-1]}, {len(exams)} scans; licence: Apache-2.0",
    )


def settings_of(network: str, exams: Sequence[Exam]) -> dict[str, Setting]:
    """The settings that a freshly trained network runs with; the decoder's are its defaults, as nothing fitted them.

    Args:
        network: name of the recipe.
        exams: what it learnt from; tells the levels that an appearance network was taught.
    """
    costs = OrderCosts()
    decoder = {"temperature": costs.temperature, "outlier_probability": costs.outlier_probability}
    if network == "vfr":
        return {"working_mm": WORKING_MM, "close_mm": CLOSE_MM}
    if network == "appearance":
        levels = {
            STAND_INS.get(level, level) for exam in exams for level in exam.outlines.levels[exam.outlines.certain]
        }
        first, *_, last = sorted(levels, key=lambda level: level.rank) * 2
        landmarks = costs.temperature if costs.landmark_temperature is None else costs.landmark_temperature
        return {
            "uppermost_level": str(first),
            "lowest_level": str(last),
            **decoder,
            "landmark_temperature": landmarks,
        }
    return {**decoder, "height_temperature": HEIGHTS.temperature} if network == "context" else {}


def _taught_levels(exams: Sequence[Exam]) -> dict[str, Setting]:
    taught = {STAND_INS.get(level, level) for exam in exams for level in exam.bodies()}
    ordered = sorted(taught, key=lambda level: level.rank)
    return {"uppermost_level": ordered[0].value, "lowest_level": ordered[-1].value}
