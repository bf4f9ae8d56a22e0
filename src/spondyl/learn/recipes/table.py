"""The recipes: the one table that `spondyl train RECIPE` reads.

A recipe is one file and one line here. Nothing is imported before a recipe is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from spondyl.datasets.table import KINDS, find_kind
from spondyl.errors import SettingError, find_named, requiring

if TYPE_CHECKING:
    from spondyl.datasets.source import Source, SplitPart

__all__ = ["RECIPES", "RecipeEntry", "TrainingRequest", "find_recipe", "run_recipe"]


@dataclass(frozen=True, slots=True)
class RecipeEntry:
    """One recipe.

    Args:
        name: its name on the command line; no other recipe has it.
        needs_data: whether it reads labelled scans; a recipe that does not simulates what it needs.
        opens: "module:function"; the function takes a `TrainingRequest` and writes weights and their card.
        summary: a few words for the help.
    """

    name: str
    needs_data: bool
    opens: str
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRequest:
    """The options of one training.

    Args:
        recipe: its name.
        sources: (kind, folder) of the data. Every group of exams of every source is drawn from equally often; the
            card's metrics are measured on the validation part of each source.
        run: folder of checkpoints, weights and card; made if it is missing.
        start: name of the weights to start from; random ones when None.
        steps: in all; the recipe's own number when None.
        seed: of the network's first weights and of all augmentation.
        fold: number of a fold of real exams that is left out of the training and measured on; None for the published
            split.
    """

    recipe: str
    run: Path
    sources: tuple[tuple[str, Path], ...] = ()
    start: str | None = None
    steps: int | None = None
    seed: int = 0
    fold: int | None = None

    def open(self, part: SplitPart) -> tuple[Source, ...]:
        """Load one part of the data of every source; with a fold, the side of it that stands for the part.

        Raises:
            SettingError: there is no such fold.
            InputError: the data cannot be read.
        """
        from spondyl.datasets.source import Fold, SplitPart

        side = part if self.fold is None else Fold(number=self.fold, is_held_out=part is not SplitPart.TRAINING)
        return tuple(find_kind(kind).open(folder.resolve(), side) for kind, folder in self.sources)


_FOLDER = "spondyl.learn.recipes"

RECIPES: tuple[RecipeEntry, ...] = (
    RecipeEntry("vfr", True, f"{_FOLDER}.vfr:train_vfr", "the detector of vertebral bodies"),
    RecipeEntry("appearance", True, f"{_FOLDER}.appearance:train_appearance", "the network that names each body"),
    RecipeEntry("context", False, f"{_FOLDER}.context:train_context", "the context network, on simulated columns"),
    RecipeEntry("bilstm", False, f"{_FOLDER}.bilstm:train_bilstm", "the recurrent baseline, on simulated columns"),
    RecipeEntry("unet", True, f"{_FOLDER}.discs:train_discs", "discs by a U-Net"),
    RecipeEntry("shape-unet", True, f"{_FOLDER}.discs:train_discs", "discs by Look-Once's shape-attention U-Net"),
    RecipeEntry("hourglass", True, f"{_FOLDER}.discs:train_discs", "discs by pose estimation"),
    RecipeEntry("msa-net", True, f"{_FOLDER}.discs:train_discs", "discs by MSA-Net"),
    RecipeEntry("attention-hourglass", True, f"{_FOLDER}.discs:train_discs", "discs by pose estimation with attention"),
    RecipeEntry("hca-net", True, f"{_FOLDER}.discs:train_discs", "discs by HCA-Net"),
    RecipeEntry("countception", True, f"{_FOLDER}.discs:train_discs", "discs by Countception"),
    RecipeEntry("swin-net", True, f"{_FOLDER}.discs:train_discs", "discs by Swin-Net"),
    RecipeEntry(
        "look-once", False, f"{_FOLDER}.look_once:train_look_once", "the network that removes false disc points"
    ),
    RecipeEntry(
        "decoder", True, f"{_FOLDER}.decoder:train_decoder", "the decoder's settings, fitted to an appearance network"
    ),
)


def find_recipe(name: str) -> RecipeEntry:
    """The recipe that has a name.

    Raises:
        SettingError: there is none.
    """
    return find_named(RECIPES, name, "RECIPE")


def run_recipe(request: TrainingRequest) -> None:
    """Run a recipe, resuming in the folder of the run, and write weights and their card there once it is done.

    Raises:
        SettingError: no such recipe or kind of data, a recipe without the data that it needs or with data that it does
            not read, a run that was begun for another number of steps, or weights to start from that are of another
            network.
        WeightsError: there are no weights of the name `start`.
        InputError: the data cannot be read.
        MissingExtraError: a package that the recipe needs is not installed.
    """
    entry = find_recipe(request.recipe)
    for kind, _ in request.sources:
        find_kind(kind)
    if entry.needs_data and not request.sources:
        options = " or ".join(f"--data {kind.name}:PATH" for kind in KINDS)
        raise SettingError(f"the recipe {entry.name} needs labelled scans: {options}")
    if request.sources and not entry.needs_data:
        raise SettingError(f"the recipe {entry.name} simulates its data: leave --data out")
    with requiring("train", "train"):
        run = resolve_name(entry.opens)
    run(request)
