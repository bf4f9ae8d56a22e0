"""`spondyl bench msa-ablation`: what the parts of MSA-Net bring, by short trainings on phantoms, beside the paper's.

Every variant sees as many images in the same order, whatever its batch, and begins with the same random numbers. The
trainings are far shorter than one whose weights are shipped, so that only differences between the rows count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import torch

from spondyl.benches.disc_labelling.scans import CONTRASTS, PHANTOM_SEED, list_phantoms
from spondyl.benches.table import BenchInput, BenchResult
from spondyl.datasets.phantoms import load_phantoms, make_phantoms
from spondyl.engine.openvino_engine import processor_has_bfloat16
from spondyl.engine.torch_engine import TorchEngine
from spondyl.learn.recipes.discs import CONTRAST_WEIGHT, DiscRecipe, DiscStream
from spondyl.learn.trainer import fit
from spondyl.locate.disc_losses import TEMPERATURE
from spondyl.locate.discs import detect_discs
from spondyl.metrics.discs import DiscScore, score_discs
from spondyl.metrics.tables import format_table
from spondyl.nets.msa_net import COMPACT, MsaNet
from spondyl.nets.presets import NETWORKS

__all__ = ["VARIANTS", "AblationSize", "Variant", "ablate_msa_net", "run_msa_ablation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to train the network.

    Args:
        title: of its row.
        has_attention: whether there is multi-scale Gaussian context attention.
        has_contrast: whether the contrastive loss is added.
        temperature: of the contrast.
        batch: images for each step.
        published: DTT in mm and FNR in % on T1 that the paper states, with a dash for what it does not.
    """

    title: str
    has_attention: bool = True
    has_contrast: bool = True
    temperature: float = TEMPERATURE
    batch: int = 8
    published: str = "-"


VARIANTS = (
    Variant(title="hourglass", has_attention=False, has_contrast=False, published="1.45 / 7.3"),
    Variant(title="+ attention", has_contrast=False, published="1.12 / -"),
    Variant(title="+ contrast", has_attention=False, published="- / 1.8"),
    Variant(title="+ both", published="0.98 / 0.28"),
    Variant(title="both, temperature 0.05", temperature=0.05, published="0.98 to 1.02 / -"),
    Variant(title="both, temperature 0.2", temperature=0.2, published="0.98 to 1.02 / -"),
    Variant(title="both, batch of 4", batch=4, published="0.98 to 1.02 / -"),
    Variant(title="both, batch of 16", batch=16, published="0.98 to 1.02 / -"),
)
"""The paper's ablation, and its sensitivity to the temperature (values not legible) and to batches of 8, 16 and 32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationSize:
    """The extent of the bench; the defaults take about 40 minutes on two idle cores.

    Args:
        images: that each variant is trained on.
        edge: rows of the images; columns are three quarters of them.
        trained_on: patients whose scans they show.
        measured_on: other patients, each scanned as T1 and T2.
    """

    images: int = 4000
    edge: int = 256
    trained_on: int = 24
    measured_on: int = 16


def run_msa_ablation(given: BenchInput) -> BenchResult:
    """Train and measure every variant; phantoms and checkpoints are kept in the run's folder, where training goes on.

    Raises:
        SettingError: a variant in the folder was begun for another number of images.
        MissingExtraError: PyTorch and Lightning are not installed.
    """
    with given.open_run() as run:
        return BenchResult(text=ablate_msa_net(run, AblationSize()))


def ablate_msa_net(run: Path, size: AblationSize, variants: tuple[Variant, ...] = VARIANTS) -> str:
    """Train and measure some variants of MSA-Net.

    Args:
        run: folder of phantoms and checkpoints.
        size: how much of it.
        variants: the rows of the table.

    Returns:
        Markdown.

    Raises:
        SettingError: a variant in the folder was begun for another number of images.
    """
    rows = []
    for variant in variants:
        scores = _measure(_train(variant, run, size), run, size)
        rows.append((variant.title, *(cell for name in CONTRASTS for cell in _cells(scores[name])), variant.published))
    header = [f"{name}, {what}" for name in CONTRASTS for what in ("DTT mm", "FNR %", "FPR %")]
    about = (
        f"Compact MSA-Net, {size.images} images of {size.edge} rows from {size.trained_on} phantoms, seed 0; batch of "
        f"{Variant(title='').batch} and temperature {TEMPERATURE:g} where nothing else is said. Measured on "
        f"{size.measured_on} others in two contrasts, seeds from {PHANTOM_SEED}: distance in the sagittal plane (mean "
        "± deviation), matched one to one within 5 mm. The paper's numbers are of T1 and of trainings to the end."
    )
    return f"{about}\n\n{format_table(('variant', *header, 'published, T1: DTT / FNR'), rows)}"


def _train(variant: Variant, run: Path, size: AblationSize) -> MsaNet:
    """Train a variant, or go on where its run stopped."""
    seeds = range(size.trained_on)
    make_phantoms(run / "training", seeds)
    groups = [group for group in load_phantoms(run / "training", seeds).values() if group]
    torch.manual_seed(0)
    network = MsaNet(replace(COMPACT, has_attention=variant.has_attention))
    steps = size.images // variant.batch
    recipe = DiscRecipe(
        network,
        steps=steps,
        contrast_weight=CONTRAST_WEIGHT if variant.has_contrast else 0.0,
        temperature=variant.temperature,
    )
    folder = "".join(letter if letter.isalnum() else "-" for letter in variant.title)
    stream = DiscStream(groups, batch=variant.batch, size=size.edge, seed=0)
    fit(recipe, stream, run / "variants" / folder, steps_per_checkpoint=max(1, steps // 10))
    return network


def _measure(network: MsaNet, run: Path, size: AblationSize) -> Mapping[str, DiscScore]:
    """Score a trained network, by contrast."""
    multiples = NETWORKS["msa-net"].multiples
    engine = TorchEngine(network, multiples=multiples, bfloat16=processor_has_bfloat16())
    scores: dict[str, list[DiscScore]] = {name: [] for name in CONTRASTS}
    for name, scan in list_phantoms(run / "phantoms", size.measured_on):
        stack = scan.study.sagittal
        found = detect_discs(stack, engine, multiples=multiples)
        scores[name].append(score_discs(scan.truth, found.centres_ras_mm, (None,) * len(found), stack.affine))
    return {name: reduce(add, each) for name, each in scores.items()}


def _cells(score: DiscScore) -> tuple[str, str, str]:
    distances = score.in_plane_mm
    mean = f"{np.mean(distances):.2f} ± {np.std(distances):.2f}" if distances else "-"
    return mean, f"{100 * score.plane_false_negative_rate:.2f}", f"{100 * score.plane_false_positive_rate:.2f}"
