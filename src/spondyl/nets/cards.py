"""Cards, which describe a file of weights in a `.toml` beside its `.safetensors`.

Reading cards does not import torch, so commands that only list or choose weights stay quick.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from spondyl.errors import WeightsError
from spondyl.nets.places import shipped_weights_folder, user_weights_folder
from spondyl.nets.presets import network_entry

__all__ = [
    "Card",
    "Setting",
    "file_sha256",
    "find_card",
    "list_cards",
    "read_card",
    "toml_files",
    "verify",
    "with_digest",
]

Setting = bool | int | float | str
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The description of a file of weights.

    Args:
        name: of the weights, for `load` and the command line; also the name of both files.
        network: a key of `presets.NETWORKS`.
        preset: its size.
        trained_on: the data, one citation each.
        metrics: split, then metric, then value; in the unit that the name of the metric states.
        commit: the commit of Spondyl that trained it, or the origin of foreign weights.
        recipe: the command that trains it again, or how it was imported.
        licence: of the weights.
        settings: for the methods that use the network, such as the spacing at which it was trained.
        sha256: of the `.safetensors` file, in hexadecimal; empty until saved.
        folder: where both files are; not written into the card.

    Raises:
        WeightsError: the name has other characters than small letters, digits, dots and dashes, or the network is
            unknown.
    """

    name: str
    network: str
    preset: str
    trained_on: tuple[str, ...]
    metrics: dict[str, dict[str, float]]
    commit: str
    recipe: str
    licence: str
    settings: dict[str, Setting] = field(default_factory=dict)
    sha256: str = ""
    folder: Path = field(default=Path(), compare=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise WeightsError(
                f"the name of weights must consist of small letters, digits, '.', '_' and '-', got {self.name!r}"
            )
        network_entry(self.network, self.preset)

    @property
    def weights_path(self) -> Path:
        """The `.safetensors` file."""
        return self.folder / f"{self.name}.safetensors"

    @property
    def card_path(self) -> Path:
        """The `.toml` file."""
        return self.folder / f"{self.name}.toml"

    def to_toml(self) -> str:
        """Make the text of the card's file, which `read_card` reads."""
        lines = [
            f"{key} = {_toml(getattr(self, key))}"
            for key in ("network", "preset", "sha256", "commit", "recipe", "licence", "trained_on")
        ]
        tables = {"settings": self.settings} | {f"metrics.{_toml(key)}": table for key, table in self.metrics.items()}
        for title, table in tables.items():
            if table:
                lines += ["", f"[{title}]", *(f"{_toml(key)} = {_toml(value)}" for key, value in table.items())]
        return "\n".join(lines) + "\n"


def read_card(path: Path) -> Card:
    """Read a card.

    Args:
        path: the `.toml` file; its stem is the card's name.

    Raises:
        WeightsError: the file is unreadable, or a field is missing, unknown or of another type.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WeightsError(f"the card {path} cannot be read: {error}") from error
    _check_fields(table, path)
    text = {key: table[key] for key in ("network", "preset", "commit", "recipe", "licence", "sha256")}
    return Card(
        name=path.stem,
        trained_on=tuple(table["trained_on"]),
        metrics=table.get("metrics", {}),
        settings=table.get("settings", {}),
        folder=path.parent,
        **text,
    )


def toml_files(folder: Path) -> list[Path]:
    """List the `.toml` files of a folder by name; none if there is no such folder, or this user may not read it."""
    try:
        return sorted(folder.glob("*.toml"))
    except OSError:
        return []


def list_cards(folders: tuple[Path, ...] | None = None) -> list[Card]:
    """List all cards by name.

    Args:
        folders: to search; the package's and the user's own when None.

    Raises:
        WeightsError: a card is damaged, or two have one name.
    """
    searched = (shipped_weights_folder(), user_weights_folder()) if folders is None else folders
    cards: dict[str, Card] = {}
    for path in (path for folder in searched for path in toml_files(folder)):
        card = read_card(path)
        if card.name in cards:
            raise WeightsError(f"two cards are named {card.name!r}: {cards[card.name].card_path} and {path}")
        cards[card.name] = card
    return [cards[name] for name in sorted(cards)]


def find_card(name: str, folders: tuple[Path, ...] | None = None) -> Card:
    """Find the card of a name.

    Args:
        name: as `list_cards` gives it.
        folders: to search; the package's and the user's own when None.

    Raises:
        WeightsError: there is none, or its weights are missing.
    """
    cards = {card.name: card for card in list_cards(folders)}
    if name not in cards:
        raise WeightsError(f"there are no weights named {name!r}; known are: {', '.join(cards) or 'none'}")
    if not cards[name].weights_path.is_file():
        raise WeightsError(f"the weights {cards[name].weights_path} are missing beside their card")
    return cards[name]


def verify(card: Card) -> Card:
    """Return the card itself if its file is the one that it describes.

    Raises:
        WeightsError: the file cannot be read, or has another sha256.
    """
    try:
        actual = file_sha256(card.weights_path)
    except OSError as error:
        raise WeightsError(f"the weights {card.weights_path} cannot be read: {error}") from error
    if actual != card.sha256:
        raise WeightsError(
            f"the weights {card.weights_path} are damaged or replaced: "
            f"sha256 {actual[:12]}…, and the card states {card.sha256[:12]}…"
        )
    return card


def with_digest(card: Card, folder: Path, sha256: str) -> Card:
    """Return the card with another folder and sha256."""
    return replace(card, folder=folder, sha256=sha256)


def file_sha256(path: Path) -> str:
    """Compute the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _toml(value: Setting | tuple[str, ...]) -> str:
    """Format a TOML value or quoted key; JSON's strings, integers and lists of strings are valid TOML."""
    if isinstance(value, float):
        return repr(value)  # TOML spells nan and inf as Python does, unlike JSON
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")  # the only control character that JSON does not escape


def _check_fields(table: dict[str, object], path: Path) -> None:
    expected: dict[str, type] = {item.name: str for item in fields(Card) if item.name not in ("name", "folder")}
    expected |= {"trained_on": list, "metrics": dict, "settings": dict}
    missing = [key for key in expected if key not in table and key not in ("metrics", "settings")]
    if missing:
        raise WeightsError(f"the card {path} lacks {', '.join(missing)}")
    wrong = [key for key in table if key not in expected or not isinstance(table[key], expected[key])]
    if wrong:
        raise WeightsError(f"the card {path} has fields that are unknown or of another type: {', '.join(wrong)}")
