"""The options of a phantom, checked before anything is drawn."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from types import MappingProxyType
from typing import Self, TypeVar

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level, Region
from spondyl.anatomy.numbering import (
    ELEVEN_THORACIC,
    FOUR_LUMBAR,
    REGULAR,
    SIX_LUMBAR,
    THIRTEEN_THORACIC,
    Numbering,
)
from spondyl.errors import SettingError
from spondyl.imaging.volume import Modality
from spondyl.phantom.column.column import Transition
from spondyl.phantom.pathology.pathology import FractureKind
from spondyl.phantom.scanner.protocol import SPACING_RANGE_MM, FieldOfView
from spondyl.phantom.scanner.sequence import PulseSequence

__all__ = ["IDENTIFIABLE_VARIANTS", "FractureWish", "PhantomOptions", "SlipWish", "Variant", "format_sequence"]

MAX_COBB_DEG = 90.0
MAX_SLIP_MM = 20.0
MAX_SEED = 2**63 - 1
FRACTURE_RANGE = (Level.C3, Level.L6)
SCREW_RANGE = (Level.T1, Level.S2)

Name = TypeVar("Name", bound=StrEnum)


class Variant(StrEnum):
    """The numbering variants, named by the vertebra that is last, missing or transitional."""

    REGULAR = "regular"
    T11 = "T11"
    T13 = "T13"
    L4 = "L4"
    L6 = "L6"
    SACRALISED = "sacralised"
    LUMBARISED = "lumbarised"

    @property
    def numbering(self) -> Numbering:
        """Return the levels of the variant."""
        return _NUMBERINGS.get(self, REGULAR)

    @property
    def transition(self) -> Transition:
        """Return the lumbosacral transition of the variant."""
        return _TRANSITIONS.get(self, Transition.NONE)


_NUMBERINGS = MappingProxyType(
    {
        Variant.T11: ELEVEN_THORACIC,
        Variant.T13: THIRTEEN_THORACIC,
        Variant.L4: FOUR_LUMBAR,
        Variant.L6: SIX_LUMBAR,
    }
)
_TRANSITIONS = MappingProxyType({Variant.SACRALISED: Transition.SACRALISED, Variant.LUMBARISED: Transition.LUMBARISED})

_SHOWN_BY: Mapping[Variant, tuple[FieldOfView, ...]] = MappingProxyType(
    {
        Variant.T11: (FieldOfView.LUMBAR, FieldOfView.THORACIC, FieldOfView.WHOLE),
        Variant.T13: (FieldOfView.LUMBAR, FieldOfView.THORACIC, FieldOfView.WHOLE),
        Variant.L4: (FieldOfView.LUMBAR, FieldOfView.WHOLE),
        Variant.L6: (FieldOfView.LUMBAR, FieldOfView.WHOLE),
        Variant.SACRALISED: (FieldOfView.LUMBAR, FieldOfView.WHOLE),
        Variant.LUMBARISED: (FieldOfView.LUMBAR, FieldOfView.WHOLE),
    }
)
"""The fields of view that show where a variant differs; requesting it in another one is refused."""

IDENTIFIABLE_VARIANTS: Mapping[FieldOfView, tuple[Variant, ...]] = MappingProxyType(
    {
        FieldOfView.LUMBAR: (Variant.L4, Variant.L6),
        FieldOfView.WHOLE: (Variant.T11, Variant.L4, Variant.T13, Variant.L6),
    }
)
"""The variants that a field of view can distinguish from a regular column: thoracic vertebrae are counted from C2.

Half of the training phantoms of such a field have one, each in turn.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FractureWish:
    """A fracture that a phantom must have.

    Args:
        level: fractured vertebra, C3 to L6.
        kind: kind of fracture; drawn when None.
        grade: Genant's grade 1 to 3; drawn when None.

    Raises:
        SettingError: the vertebra has no body of its own, or the grade is outside 1 to 3.
    """

    level: Level
    kind: FractureKind | None = None
    grade: int | None = None

    def __str__(self) -> str:
        """Return the fracture as the command line writes it."""
        return ":".join(str(word) for word in (self.level, self.kind, self.grade) if word is not None)

    def __post_init__(self) -> None:
        _parse_level("fracture", self.level, *FRACTURE_RANGE)
        if self.grade not in (None, 1, 2, 3):
            raise SettingError(f"the grade of a fracture must be 1, 2 or 3, got {self.grade}")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read "L1", "L1:wedge" or "L1:wedge:2".

        Raises:
            SettingError: the text has another form.
        """
        level, *rest = text.split(":")
        if len(rest) > 2 or (len(rest) == 2 and not rest[1].isdecimal()):
            raise SettingError(f'fracture must be written as "L1", "L1:wedge" or "L1:wedge:2", got "{text}"')
        return cls(
            level=_parse_level("fracture", level, *FRACTURE_RANGE),
            kind=_parse_member(FractureKind, "fracture kind", rest[0]) if rest else None,
            grade=int(rest[1]) if len(rest) == 2 else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlipWish:
    """A spondylolisthesis that a phantom must have.

    Args:
        disc: disc below the vertebra that slips.
        slip_mm: forward slip, 0 to 20 mm.

    Raises:
        SettingError: the slip is outside its range, or within the sacrum.
    """

    disc: Disc
    slip_mm: float

    def __str__(self) -> str:
        """Return the slip as the command line writes it."""
        return f"{self.disc}:{self.slip_mm:g}"

    def __post_init__(self) -> None:
        if self.disc.upper.region is Region.SACRAL:
            raise SettingError(f"slip must be at a disc from C2/C3 to the one above S1, got {self.disc}")
        _check_range("slip", self.slip_mm, 0.0, MAX_SLIP_MM, "mm")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read "L4/L5:6", mm.

        Raises:
            SettingError: the text has another form.
        """
        disc, _, length = text.partition(":")
        try:
            return cls(disc=Disc.from_name(disc), slip_mm=float(length))
        except SettingError:
            raise
        except ValueError as error:
            raise SettingError(f'slip must be written as "L4/L5:6", in mm, got "{text}"') from error


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomOptions:
    """The options of a phantom; each one that is None is drawn at its frequency among patients.

    Args:
        seed: the same seed gives the same patient, however it is scanned; the same options the same scan.
        modality: MR or CT.
        field: field of view.
        sequence: pulse sequence of an MR scan.
        spacing_mm: spacing of an MR scan's rows and columns, or of a CT scan's voxels; 0.3 to 5 mm.
        variant: numbering variant of the column.
        scoliosis_cobb_deg: Cobb angle, 0 to 90.
        severity: degree of degeneration, from 0 (healthy) to 1 (the most degenerated of patients).
        fractures, slips: pathology in addition to the drawn one.
        screws: vertebrae with pedicle screws.
        is_varied: False for a well-centred scan of the whole region; True also for small, shifted and oblique ones.

    Raises:
        SettingError: a number is outside its range, or two options contradict each other.
    """

    seed: int = 0
    modality: Modality = Modality.MR
    field: FieldOfView = FieldOfView.LUMBAR
    sequence: PulseSequence | None = None
    spacing_mm: float | None = None
    variant: Variant | None = None
    scoliosis_cobb_deg: float | None = None
    severity: float | None = None
    fractures: tuple[FractureWish, ...] = ()
    slips: tuple[SlipWish, ...] = ()
    screws: tuple[Level, ...] | None = None
    is_varied: bool = False

    def __post_init__(self) -> None:
        _check_range("seed", self.seed, 0, MAX_SEED)
        _check_range("spacing", self.spacing_mm, *SPACING_RANGE_MM, "mm")
        _check_range("cobb", self.scoliosis_cobb_deg, 0.0, MAX_COBB_DEG, "degrees")
        _check_range("severity", self.severity, 0.0, 1.0)
        if self.sequence is not None and self.modality is not Modality.MR:
            raise SettingError(
                f"sequence is for modality mr only, got {format_sequence(self.sequence)} with {self.modality}"
            )
        _check_variant(self.variant, self.field)
        for level in self.screws or ():
            _parse_level("screws", level, *SCREW_RANGE)
        _check_once("fracture", [fracture.level for fracture in self.fractures])
        _check_once("slip", [slip.disc for slip in self.slips])
        _check_once("screws", self.screws or ())

    @classmethod
    def from_text(
        cls,
        *,
        seed: int = 0,
        modality: str = "mr",
        field: str = "lumbar",
        sequence: str | None = None,
        spacing_mm: float | None = None,
        variant: str | None = None,
        cobb_deg: float | None = None,
        severity: float | None = None,
        fractures: tuple[str, ...] = (),
        slips: tuple[str, ...] = (),
        screws: str | None = None,
        is_varied: bool = False,
    ) -> Self:
        """Read options as the command line writes them.

        Args:
            seed, spacing_mm, cobb_deg, severity, is_varied: see `PhantomOptions`.
            modality, field, variant: values of their enums.
            sequence: name of its member in small letters with hyphens, such as "t2-tse"; or "t1" or "t2".
            fractures: texts such as "L1:wedge:2".
            slips: texts such as "L4/L5:6".
            screws: levels separated by commas, such as "L4,L5"; "none" for none.

        Raises:
            SettingError: a name is unknown, a number is outside its range, or two options contradict each other.
        """
        return cls(
            seed=seed,
            modality=_parse_member(Modality, "modality", modality),
            field=_parse_member(FieldOfView, "fov", field),
            sequence=None if sequence is None else _parse_sequence(sequence),
            spacing_mm=spacing_mm,
            variant=None if variant is None else _parse_member(Variant, "variant", variant),
            scoliosis_cobb_deg=cobb_deg,
            severity=severity,
            fractures=tuple(FractureWish.from_text(text) for text in fractures),
            slips=tuple(SlipWish.from_text(text) for text in slips),
            screws=None if screws is None else _parse_screws(screws),
            is_varied=is_varied,
        )


def _check_variant(variant: Variant | None, field: FieldOfView) -> None:
    if variant is None or field in _SHOWN_BY.get(variant, tuple(FieldOfView)):
        return
    fields = " or ".join(_SHOWN_BY[variant])
    raise SettingError(f"variant {variant} can only be seen with fov {fields}, got {field}")


def _check_once(name: str, places: Collection[Level | Disc]) -> None:
    if len(set(places)) < len(places):
        raise SettingError(f"{name} must name each place once, got {', '.join(map(str, places))}")


def _parse_level(name: str, text: str, first: Level, last: Level) -> Level:
    if text not in Level.__members__ or not first.rank <= Level(text).rank <= last.rank:
        raise SettingError(f'{name} must be in a vertebra from {first} to {last}, got "{text}"')
    return Level(text)


def _parse_member(kind: type[Name], name: str, text: str) -> Name:
    try:
        return kind(text)
    except ValueError as error:
        raise SettingError(f'{name} must be one of {", ".join(kind)}, got "{text}"') from error


def format_sequence(sequence: PulseSequence) -> str:
    """Return the name of a sequence on the command line, such as "t2-tse"."""
    return sequence.name.lower().replace("_", "-")


def _parse_sequence(text: str) -> PulseSequence:
    names = {format_sequence(sequence): sequence for sequence in PulseSequence}
    short = {"t1": PulseSequence.T1_TSE, "t2": PulseSequence.T2_TSE}
    if text not in names | short:
        raise SettingError(f'sequence must be one of {", ".join((*short, *names))}, got "{text}"')
    return (names | short)[text]


def _parse_screws(text: str) -> tuple[Level, ...]:
    if text == "none":
        return ()
    return tuple(_parse_level("screws", name.strip(), *SCREW_RANGE) for name in text.split(","))


def _check_range(name: str, value: float | None, low: float, high: float, unit: str = "") -> None:
    if value is not None and not (isfinite(value) and low <= value <= high):
        ends = " and ".join(f"{end:g}" if isinstance(end, float) else str(end) for end in (low, high))
        raise SettingError(f"{name} must be between {ends} {unit}".rstrip() + f", got {value}")
