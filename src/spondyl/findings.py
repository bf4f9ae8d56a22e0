"""The findings in a scan: frozen values that serialise exactly to `report.json`, schema `spondyl.findings/1`.

Points are RAS millimetres, probabilities lie in [0, 1], levels are anatomical names. Numbers are rounded once, when a
value is built (a micrometre, a millionth), so that findings equal what is read back from their own JSON. Nothing here
can hold a patient's identifier: `input` refuses the keys under which they travel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spondyl.anatomy.level import Level
from spondyl.errors import InputError

__all__ = [
    "RESEARCH_USE",
    "SCHEMA",
    "Disc",
    "Findings",
    "Grading",
    "ImageGrid",
    "Measurement",
    "Software",
    "Vertebra",
    "WeightsUsed",
    "findings_schema",
]

SCHEMA = "spondyl.findings/1"
RESEARCH_USE = "For research use only: Spondyl is not a medical device."
"""Ends the warnings of every report; the contract's keys have no other place for it."""

_IDENTIFYING = re.compile(
    r"patient|birth|accession|person|operator|physician|institution|(^|_)(uid|path|file_?name)s?$"
)

Finite = Annotated[float, Field(allow_inf_nan=False)]
Millimetre = Annotated[Finite, AfterValidator(lambda value: round(value, 3) + 0.0)]
Probability = Annotated[float, Field(ge=0, le=1), AfterValidator(lambda value: round(value, 6))]
Second = Annotated[Finite, Field(ge=0), AfterValidator(lambda value: round(value, 4))]
PointRas = tuple[Millimetre, Millimetre, Millimetre]
Quadrilateral = tuple[PointRas, PointRas, PointRas, PointRas]
Row = tuple[Finite, Finite, Finite, Finite]
DiscName = Annotated[str, Field(pattern=r"^[CTLS]\d{1,2}/[CTLS]\d{1,2}$")]


class _Value(BaseModel):
    """A frozen value without room for keys that the schema does not name."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        serialize_by_alias=True,
        validate_by_name=True,
        json_schema_serialization_defaults_required=True,
    )


class WeightsUsed(_Value):
    """A weights file by its name and the SHA-256 of its content."""

    name: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Software(_Value):
    """The program and the weights that made the findings."""

    version: str
    weights: tuple[WeightsUsed, ...] = ()


class ImageGrid(_Value):
    """The input's own grid: index order (i, j, k), affine to RAS mm."""

    modality: Literal["mr", "ct"]
    shape: tuple[int, int, int]
    spacing_mm: tuple[Finite, Finite, Finite]
    affine_ras: tuple[Row, Row, Row, Row]


class Vertebra(_Value):
    """One vertebral body.

    Attributes:
        level: the most plausible level in the most plausible sequence of the whole column.
        level_probability: the probability of that level.
        level_probabilities: every level whose probability exceeds 0.001, from head to foot.
        detection_score: how sure the detector is that this is a vertebral body.
        centroid_mm: centre of the body.
        outline_mm: for each slice of `slices`, the corners posterior superior, posterior inferior, anterior inferior
            and anterior superior.
        slices: ascending indices of the slices in which it is seen, along that axis of the input's own grid that runs
            most nearly from the patient's left to right.
    """

    level: Level
    level_probability: Probability
    level_probabilities: dict[Level, Probability]
    detection_score: Probability
    centroid_mm: PointRas
    outline_mm: tuple[Quadrilateral, ...] = Field(min_length=1)
    slices: tuple[Annotated[int, Field(ge=0)], ...]

    @field_validator("level_probabilities")
    @classmethod
    def _from_head_to_foot(cls, probabilities: dict[Level, float]) -> dict[Level, float]:
        return dict(sorted(probabilities.items(), key=lambda item: item[0].rank))

    @model_validator(mode="after")
    def _each_slice_has_an_outline(self) -> Self:
        if len(self.outline_mm) != len(self.slices):
            raise ValueError(f"{len(self.slices)} slices need as many outlines, got {len(self.outline_mm)}")
        return self


class Grading(_Value):
    """A grade on a radiological scale with the probability of every grade."""

    grade: int
    probabilities: tuple[Probability, ...]


class Disc(_Value):
    """One intervertebral disc.

    Attributes:
        level: its name, by the two levels that it joins (`L4/L5`).
        centroid_mm: its centre.
        posterior_mm: the middle of its posterior edge; null where the method gives none.
        probability: that it is this disc.
        gradings: by name.
    """

    level: DiscName
    centroid_mm: PointRas
    posterior_mm: PointRas | None = None
    probability: Probability
    gradings: dict[str, Grading] = Field(default_factory=dict)


class Measurement(_Value):
    """A number measured at a level, disc or region, with its unit and the method that gave it."""

    name: str
    level: str
    value: Finite
    unit: str
    method: str


class Findings(_Value):
    """Everything that is said about one scan; vertebrae and discs are ordered from head to foot."""

    format: Literal["spondyl.findings/1"] = Field(default="spondyl.findings/1", alias="schema")
    software: Software
    input: dict[str, str | int | float]
    image: ImageGrid
    vertebrae: tuple[Vertebra, ...] = ()
    discs: tuple[Disc, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    warnings: tuple[str, ...] = (RESEARCH_USE,)
    timing_s: dict[str, Second] = Field(default_factory=dict)

    @field_validator("input")
    @classmethod
    def _names_no_patient(cls, described: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
        for key in described:
            if _IDENTIFYING.search(key.lower()):
                raise ValueError(f"input may not hold the key {key}: it could identify a patient")
        return dict(described)

    @property
    def is_empty(self) -> bool:
        """True if nothing was found."""
        return not (self.vertebrae or self.discs)

    def to_json(self) -> str:
        """The text of `report.json`, ending in a newline."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Findings:
        """Read the text of a `report.json`.

        Raises:
            InputError: the text is not JSON or does not follow the schema.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = "/".join(str(part) for part in first["loc"]) or "the document"
            raise InputError(f"this is not a {SCHEMA} report: {where}: {first['msg']}") from None


def findings_schema() -> dict[str, object]:
    """The JSON schema (draft 2020-12) of `report.json`, as `spondyl schema` prints it."""
    schema = Findings.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:{SCHEMA}", **schema}
