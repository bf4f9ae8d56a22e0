"""The methods of every stage: the one table that the command line, plans, benches and provenance read.

A method is one file and one line here. Nothing is imported before a method is opened.
"""

from __future__ import annotations

from dataclasses import dataclass

from spondyl.errors import SettingError
from spondyl.imaging.modality import Modality
from spondyl.stage import Stage, Structure

__all__ = ["METHODS", "Method", "find_method", "methods_of"]


@dataclass(frozen=True, slots=True)
class Method:
    """One way to do a stage.

    Args:
        stage: the stage.
        name: what the command line calls it; no other method of the stage has it.
        structures: what it finds or names; a plan has at most one method of a stage for each of them.
        modalities: the scans that it takes.
        networks: roles in a set of weights that it needs.
        opens: "module:function"; the function takes the loaded networks by role and returns the stage's function, of
            one of the types in `spondyl.reading`.
        summary: a few words for the help.
    """

    stage: Stage
    name: str
    structures: frozenset[Structure]
    modalities: frozenset[Modality]
    networks: tuple[str, ...]
    opens: str
    summary: str


_MR = frozenset({Modality.MR})
_BODIES = frozenset({Structure.VERTEBRA})
_BOTH = frozenset(Structure)
_DISCS = frozenset({Structure.DISC})
_METHODS = "spondyl.identify.methods"

_IN_HEAT = "spondyl.locate.discs:open_discs"

METHODS: tuple[Method, ...] = (
    Method(Stage.LOCATE, "vfr", _BODIES, _MR, ("vfr",), "spondyl.locate.vfr:open_whole", "whole slices"),
    Method(
        Stage.LOCATE, "vfr-patches", _BODIES, _MR, ("vfr",), "spondyl.locate.vfr_patches:open_patches", "in patches"
    ),
    Method(Stage.LOCATE, "spinenet", _BODIES, _MR, ("vfr",), "spondyl.locate.published:open_published", "as published"),
    Method(Stage.LOCATE, "msa-net", _DISCS, _MR, ("msa-net",), _IN_HEAT, "discs by MSA-Net"),
    Method(Stage.LOCATE, "shape-unet", _DISCS, _MR, ("shape-unet",), _IN_HEAT, "discs by Look-Once"),
    Method(Stage.LOCATE, "unet", _DISCS, _MR, ("unet",), _IN_HEAT, "discs by its baseline"),
    Method(Stage.LOCATE, "hourglass", _DISCS, _MR, ("hourglass",), _IN_HEAT, "discs by pose estimation"),
    Method(
        Stage.LOCATE,
        "attention-hourglass",
        _DISCS,
        _MR,
        ("attention-hourglass",),
        _IN_HEAT,
        "discs by pose estimation with attention",
    ),
    Method(Stage.LOCATE, "hca-net", _DISCS, _MR, ("hca-net",), _IN_HEAT, "discs by HCA-Net"),
    Method(Stage.LOCATE, "swin-net", _DISCS, _MR, ("swin-net",), _IN_HEAT, "discs by Swin-Net"),
    Method(Stage.LOCATE, "countception", _DISCS, _MR, ("countception",), _IN_HEAT, "discs by Countception"),
    Method(
        Stage.REFINE, "look-once", _DISCS, _MR, ("look-once",), "spondyl.refine.look_once:open_look_once", "in one look"
    ),
    Method(
        Stage.REFINE,
        "ordered-assignment",
        _DISCS,
        _MR,
        (),
        "spondyl.refine.ordered_assignment:open_ordered_assignment",
        "exact fit of the mean column",
    ),
    Method(
        Stage.REFINE,
        "search-tree",
        _DISCS,
        _MR,
        (),
        "spondyl.refine.search_tree:open_search_tree",
        "the same over all subsets (a paper's)",
    ),
    Method(
        Stage.REFINE,
        "condition",
        _DISCS,
        _MR,
        (),
        "spondyl.refine.condition:open_condition",
        "conditions on gaps (a paper's)",
    ),
    Method(
        Stage.IDENTIFY,
        "order",
        _BOTH,
        _MR,
        ("appearance",),
        f"{_METHODS}.order:open_order",
        "exact decoder, no context network",
    ),
    Method(
        Stage.IDENTIFY,
        "context",
        _BOTH,
        _MR,
        ("appearance", "context"),
        f"{_METHODS}.context:open_context",
        "context network, exact decoder",
    ),
    Method(
        Stage.IDENTIFY,
        "beam",
        _BOTH,
        _MR,
        ("appearance", "context"),
        f"{_METHODS}.beam:open_beam",
        "context network, beam search (the paper's)",
    ),
    Method(
        Stage.IDENTIFY,
        "bilstm",
        _BOTH,
        _MR,
        ("appearance", "bilstm"),
        f"{_METHODS}.bilstm:open_bilstm",
        "bi-directional LSTM",
    ),
    Method(
        Stage.IDENTIFY,
        "argmax",
        _BOTH,
        _MR,
        ("appearance",),
        f"{_METHODS}.argmax:open_argmax",
        "each body by itself (argmax)",
    ),
    Method(
        Stage.IDENTIFY,
        "spinenet",
        _BOTH,
        _MR,
        ("appearance", "context"),
        f"{_METHODS}.published:open_published",
        "as published",
    ),
)


def methods_of(stage: Stage) -> tuple[Method, ...]:
    """The methods of a stage in the order of the table.

    Raises:
        SettingError: two of them have one name.
    """
    found = tuple(method for method in METHODS if method.stage is stage)
    names = [method.name for method in found]
    if len(set(names)) < len(names):
        raise SettingError(f"two methods of the stage {stage} have one name: {', '.join(sorted(names))}")
    return found


def find_method(stage: Stage, name: str) -> Method:
    """The method of a stage that has a name.

    Raises:
        SettingError: there is none.
    """
    methods = {method.name: method for method in methods_of(stage)}
    if not methods:
        raise SettingError(f"--{stage}: this version has no method that does it")
    if name not in methods:
        raise SettingError(f"--{stage} must be one of {', '.join(methods)}, got {name!r}")
    return methods[name]
