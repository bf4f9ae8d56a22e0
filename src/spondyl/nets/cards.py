"""Cards: what is known of a file of weights, in a `.toml` beside its `.safetensors`.

Reading cards costs no torch, so commands that only list or choose weights stay quick.
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
    "verified",
    "with_digest",
]

Setting = bool | int | float | str
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One file of weights.

    Args:
        name: what `load` and the command line call it; also the name of both files.
        network: which network, a key of `presets.NETWORKS`.
        preset: which size of it.
        trained_on: the data, one citation each.
        metrics: split, then metric, then value; in the unit that the metric's name says.
        commit: the commit of Spondyl that trained it, or the origin of foreign weights.
        recipe: the command that trains it again, or how it was imported.
        licence: under which the weights may be used.
        settings: what the network's users must know, such as the working resolution it was trained at.
        sha256: of the `.safetensors` file, in hexadecimal; empty until saved.
        folder: where both files are; not written into the card.

    Raises:
        WeightsError: a name with other characters than small letters, digits, dots and dashes, or an unknown network.
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
            raise WeightsError(f"weights are named with small letters, digits, '.', '_' and '-', got {self.name!r}")
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
        """The text of the card's file; `read_card` reads it back."""
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
    """Read one card.

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
    """The `.toml` files of a folder by name; none where there is no such folder, or this user may not read it."""
    try:
        return sorted(folder.glob("*.toml"))
    except OSError:
        return []


def list_cards(folders: tuple[Path, ...] | None = None) -> list[Card]:
    """Every card, by name.

    Args:
        folders: where to look; the package's and the user's own when None.

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
    """The card of that name.

    Args:
        name: as `list_cards` gives it.
        folders: where to look; the package's and the user's own when None.

    Raises:
        WeightsError: there is none, or its weights are not beside it.
    """
    cards = {card.name: card for card in list_cards(folders)}
    if name not in cards:
        raise WeightsError(f"there are no weights named {name!r}; known are: {', '.join(cards) or 'none'}")
    if not cards[name].weights_path.is_file():
        raise WeightsError(f"the weights {cards[name].weights_path} are missing beside their card")
    return cards[name]


def verified(card: Card) -> Card:
    """The card itself, once its file has been found to be the one it describes.

    Raises:
        WeightsError: the file cannot be read, or its sha256 is another.
    """
    try:
        actual = file_sha256(card.weights_path)
    except OSError as error:
        raise WeightsError(f"the weights {card.weights_path} cannot be read: {error}") from error
    if actual != card.sha256:
        raise WeightsError(
            f"the weights {card.weights_path} are damaged or replaced: "
            f"sha256 {actual[:12]}… where the card says {card.sha256[:12]}…"
        )
    return card


def with_digest(card: Card, folder: Path, sha256: str) -> Card:
    """The same card, placed and sealed."""
    return replace(card, folder=folder, sha256=sha256)


def file_sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _toml(value: Setting | tuple[str, ...]) -> str:
    """A TOML value or quoted key: JSON's strings, integers and lists of strings are TOML's too."""
    if isinstance(value, float):
        return repr(value)  # unlike JSON, TOML spells nan and inf as Python does
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")  # the one control character that JSON lets through


def _check_fields(table: dict[str, object], path: Path) -> None:
    expected: dict[str, type] = {item.name: str for item in fields(Card) if item.name not in ("name", "folder")}
    expected |= {"trained_on": list, "metrics": dict, "settings": dict}
    missing = [key for key in expected if key not in table and key not in ("metrics", "settings")]
    if missing:
        raise WeightsError(f"the card {path} lacks {', '.join(missing)}")
    odd = [key for key in table if key not in expected or not isinstance(table[key], expected[key])]
    if odd:
        raise WeightsError(f"the card {path} has fields that are unknown or of another type: {', '.join(odd)}")
