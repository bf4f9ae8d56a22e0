"""Conversion of the settings of a card into the typed settings of a method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar

from spondyl.errors import SettingError, WeightsError
from spondyl.nets.cards import Card

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["read_settings"]

Settings = TypeVar("Settings", bound="DataclassInstance")


def read_settings(card: Card, kind: type[Settings]) -> Settings:
    """Turn the settings of a card into a dataclass whose fields are text, numbers or truth values.

    Args:
        card: of the network.
        kind: a dataclass; the card must have each field without a default, and no other settings.

    Raises:
        WeightsError: a setting is missing, unknown, of another type or outside its range.
    """
    known = {item.name: item for item in fields(kind)}
    missing = [
        name
        for name, item in known.items()
        if name not in card.settings and item.default is MISSING and item.default_factory is MISSING
    ]
    if missing:
        raise WeightsError(f"the card {card.name!r} lacks the setting {', '.join(missing)}, which this method needs")
    unknown = [name for name in card.settings if name not in known]
    if unknown:
        raise WeightsError(f"the card {card.name!r} has settings that this method does not know: {', '.join(unknown)}")
    try:
        return kind(**_convert(card.settings))
    except (SettingError, ValueError, TypeError) as error:
        raise WeightsError(f"the card {card.name!r} has a setting that cannot be used: {error}") from error


def _convert(settings: Mapping[str, object]) -> dict[str, Any]:
    """Convert whole numbers to floats, since TOML distinguishes 5 from 5.0 and no setting does."""
    return {
        name: float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in settings.items()
    }
