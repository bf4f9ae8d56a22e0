"""The findings of a reading: the one place where the results of the stages become the document that is reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spondyl import __version__
from spondyl.anatomy.level import Level
from spondyl.findings import RESEARCH_USE, Disc, Findings, ImageGrid, Software, Vertebra, WeightsUsed
from spondyl.geometry.instance import VertebraInstance
from spondyl.geometry.resample import sagittal_axes
from spondyl.identify.doubts import find_doubts
from spondyl.imaging.volume import Volume
from spondyl.labelling import Labelling
from spondyl.reading import Candidates, Reading
from spondyl.stage import Structure
from spondyl.study import Study

__all__ = ["assemble_findings"]

_MIN_SHOWN_PROBABILITY = 1e-3


def assemble_findings(
    reading: Reading, *, weights: Sequence[WeightsUsed] = (), seconds: Mapping[str, float] | None = None
) -> Findings:
    """Turn a reading into findings.

    Args:
        reading: what the stages found.
        weights: the weights that were used.
        seconds: how long each stage took.
    """
    study, labellings = reading.study, reading.labellings
    doubts = () if labellings.vertebrae is None else find_doubts(labellings.vertebrae)
    return Findings(
        software=Software(version=__version__, weights=tuple(weights)),
        input=study.volume.source,
        image=_image_grid(study.volume),
        vertebrae=_vertebrae(reading),
        discs=_discs(reading),
        measurements=reading.measurements,
        warnings=(*dict.fromkeys((*study.volume.warnings, *study.warnings, *doubts)), RESEARCH_USE),
        timing_s=dict(seconds or {}),
    )


def _vertebrae(reading: Reading) -> tuple[Vertebra, ...]:
    """One vertebra for each candidate that was given a level."""
    candidates, labelling = reading.candidates.get(Structure.VERTEBRA), reading.labellings.vertebrae
    if candidates is None or labelling is None:
        return ()
    return tuple(
        _vertebra(body, level, labelling, number, candidates, reading.study)
        for number, (body, level) in enumerate(zip(candidates.bodies, labelling.levels, strict=True))
        if level is not None
    )


def _vertebra(
    body: VertebraInstance,
    level: Level,
    labelling: Labelling[Level],
    number: int,
    candidates: Candidates,
    study: Study,
) -> Vertebra:
    slices = _input_slices(body.slices, study)
    ascending = np.argsort(slices, kind="stable")
    others = labelling.level_probabilities(number, _MIN_SHOWN_PROBABILITY)
    return Vertebra(
        level=level,
        level_probability=_clip(labelling.level_probability[number]),
        level_probabilities={other: _clip(probability) for other, probability in others.items()},
        detection_score=_clip(body.score),
        centroid_mm=candidates.centres_ras_mm[number].tolist(),
        outline_mm=body.outlines_ras_mm[ascending].tolist(),
        slices=tuple(slices[place] for place in ascending),
    )


def _input_slices(slices: tuple[int, ...], study: Study) -> tuple[int, ...]:
    """The nearest index of each stack slice along the input's axis that runs most nearly from left to right."""
    stack, volume = study.sagittal, study.volume
    axis = sagittal_axes(volume.affine)[0]
    middle = (np.array(stack.voxels.shape[1:]) - 1) / 2
    centres = stack.affine.to_world([(number, *middle) for number in slices])
    indices = np.clip(np.rint(volume.affine.to_index(centres)[:, axis]), 0, volume.voxels.shape[axis] - 1)
    return tuple(int(index) for index in indices)


def _discs(reading: Reading) -> tuple[Disc, ...]:
    """One disc for each candidate that was given a name."""
    candidates, labelling = reading.candidates.get(Structure.DISC), reading.labellings.discs
    if candidates is None or labelling is None:
        return ()
    edges = candidates.posterior_ras_mm
    return tuple(
        Disc(
            level=str(name),
            centroid_mm=candidates.centres_ras_mm[number].tolist(),
            posterior_mm=None if edges is None else edges[number].tolist(),
            probability=_clip(labelling.level_probability[number]),
        )
        for number, name in enumerate(labelling.levels)
        if name is not None
    )


def _image_grid(volume: Volume) -> ImageGrid:
    return ImageGrid(
        modality=volume.modality.value,
        shape=volume.grid.shape,
        spacing_mm=volume.grid.spacing_mm.tolist(),
        affine_ras=volume.affine.matrix.tolist(),
    )


def _clip(probability: float) -> float:
    """Within [0, 1], which sums of rounded numbers and regressed heat may leave by a hair."""
    return min(1.0, max(0.0, float(probability)))
