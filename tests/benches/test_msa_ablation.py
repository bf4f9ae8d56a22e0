"""Every variant is trained as its row says, on as many images, and measured on both contrasts."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from learn.painted import painted_exam
from spondyl.benches import msa_ablation
from spondyl.benches.disc_labelling.scans import MarkedScan
from spondyl.benches.msa_ablation import VARIANTS, AblationSize, Variant, ablate_msa_net
from spondyl.datasets.source import Exam
from spondyl.geometry.points import Landmarks
from spondyl.learn.recipes.discs import CONTRAST_WEIGHT, DiscRecipe
from spondyl.metrics.discs import find_outline_points
from spondyl.nets.msa_net import GaussianContextAttention, MsaNet
from spondyl.reading import Candidates
from spondyl.stage import Structure
from spondyl.study import Study

SMALL = AblationSize(images=8, edge=256, trained_on=1, measured_on=1)
MADE: list[dict[str, object]] = []


class Recorded(DiscRecipe):
    """The recipe, which keeps what it was asked for."""

    def __init__(self, network: MsaNet, *, steps: int, contrast_weight: float, temperature: float) -> None:
        super().__init__(network, steps=steps, contrast_weight=contrast_weight, temperature=temperature)
        attentive = any(isinstance(part, GaussianContextAttention) for part in network.modules())
        MADE.append({"steps": steps, "weight": contrast_weight, "temperature": temperature, "attention": attentive})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe, painted exams instead of phantoms, and no process that draws images."""
    exam = painted_exam()
    centres, edges = find_outline_points(exam.disc_outlines(), exam.stack.affine)
    scan = MarkedScan(study=Study.from_sagittal(exam.stack), truth=centres, edges=edges)

    def list_phantoms(_folder: Path, count: int) -> Iterator[tuple[str, MarkedScan]]:
        yield from [("T1", scan), ("T2", scan)] * count

    def load_phantoms(_folder: Path, _seeds: object) -> dict[str, list[Exam]]:
        return {"lumbar": [exam], "whole": []}

    MADE.clear()
    monkeypatch.setattr(msa_ablation, "DiscRecipe", Recorded)
    monkeypatch.setattr(msa_ablation, "make_phantoms", lambda _folder, _seeds: None)
    monkeypatch.setattr(msa_ablation, "load_phantoms", load_phantoms)
    monkeypatch.setattr(msa_ablation, "list_phantoms", list_phantoms)


def test_the_rows_are_the_papers_ablation_and_one_change_each() -> None:
    alone = [(one.has_attention, one.has_contrast) for one in VARIANTS[:4]]
    assert alone == [(False, False), (True, False), (False, True), (True, True)]
    whole = VARIANTS[3]
    for variant in VARIANTS[4:]:
        assert (variant.temperature != whole.temperature) + (variant.batch != whole.batch) == 1
        assert variant.has_attention
        assert variant.has_contrast
    assert len({variant.title for variant in VARIANTS}) == len(VARIANTS)


@pytest.mark.usefixtures("small")
def test_each_variant_sees_as_many_images_with_its_own_network_and_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(msa_ablation, "fit", lambda *_arguments, **_keywords: None)
    nothing = Candidates(
        structure=Structure.DISC, centres=Landmarks(points_ras_mm=np.empty((0, 3)), scores=np.empty(0))
    )
    monkeypatch.setattr(msa_ablation, "detect_discs", lambda *_arguments, **_keywords: nothing)
    text = ablate_msa_net(tmp_path, SMALL)
    assert [made["steps"] for made in MADE] == [1, 1, 1, 1, 1, 1, 2, 0]
    assert [made["attention"] for made in MADE] == [variant.has_attention for variant in VARIANTS]
    assert [made["weight"] for made in MADE] == [CONTRAST_WEIGHT * variant.has_contrast for variant in VARIANTS]
    assert [made["temperature"] for made in MADE] == [variant.temperature for variant in VARIANTS]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == [variant.title for variant in VARIANTS]
    assert rows[1][-1] == "1.45 / 7.3"
    assert rows[1][1:4] == ["-", "100.00", "0.00"]


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_a_variant_is_trained_once_and_measured_again_from_its_checkpoint(tmp_path: Path) -> None:
    one = (Variant(title="both, batch of 4", batch=4),)
    first = ablate_msa_net(tmp_path, SMALL, one)
    checkpoint = tmp_path / "variants" / "both--batch-of-4" / "last.ckpt"
    written = checkpoint.stat().st_mtime_ns
    assert ablate_msa_net(tmp_path, SMALL, one) == first
    assert checkpoint.stat().st_mtime_ns == written
    assert np.all([made["steps"] == 2 for made in MADE])
