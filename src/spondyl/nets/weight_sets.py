"""Sets of weights, which name the weights for each role and the methods for which they were made.

A set is a file `sets/NAME.toml` beside the cards:

    [networks]
    vfr = "spondyl-vfr"                # role = name of a card

    [methods.mr]
    locate = ["vfr"]                   # stage = its default methods
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spondyl.errors import WeightsError
from spondyl.nets.cards import toml_files
from spondyl.nets.places import shipped_weights_folder, user_weights_folder

__all__ = ["WeightSet", "find_set", "list_sets", "read_set", "set_path"]

_FOLDER = "sets"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSet:
    """A set of weights.

    Args:
        name: for `--weights`.
        networks: name of the card for each role.
        methods: by modality ("mr", "ct") and stage, the methods that the set was made for.
    """

    name: str
    networks: Mapping[str, str]
    methods: Mapping[str, Mapping[str, tuple[str, ...]]]

    def card_name(self, role: str) -> str:
        """Return the name of the card for a role.

        Raises:
            WeightsError: the set has no network for it.
        """
        if role not in self.networks:
            raise WeightsError(f"the set of weights {self.name!r} has no {role!r} network, which the method needs")
        return self.networks[role]

    def to_toml(self) -> str:
        """Make the text of the set's file, which `read_set` reads."""
        lines = ["[networks]", *(f'{role} = "{card}"' for role, card in self.networks.items())]
        for modality, stages in self.methods.items():
            lines += ["", f"[methods.{modality}]"]
            lines += [f"{stage} = {json.dumps(names)}" for stage, names in stages.items()]
        return "\n".join(lines) + "\n"


def set_path(folder: Path, name: str) -> Path:
    """Return the file of a set in a folder of weights."""
    return folder / _FOLDER / f"{name}.toml"


def read_set(path: Path) -> WeightSet:
    """Read the file of a set.

    Raises:
        WeightsError: the file cannot be read, or does not have the form that this module describes.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        networks, methods = table["networks"], table["methods"]
        return WeightSet(
            name=path.stem,
            networks={str(role): str(card) for role, card in networks.items()},
            methods={
                str(modality): {str(stage): tuple(str(name) for name in names) for stage, names in stages.items()}
                for modality, stages in methods.items()
            },
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, AttributeError, TypeError) as error:
        raise WeightsError(f"the set of weights {path.stem!r} cannot be read: {error}") from error


def list_sets(folders: tuple[Path, ...] | None = None) -> dict[str, WeightSet]:
    """List all sets by name; one of the user's own replaces a shipped one of its name.

    Args:
        folders: to search; the package's and the user's own weights when None.

    Raises:
        WeightsError: the file of a set is damaged.
    """
    searched = (shipped_weights_folder(), user_weights_folder()) if folders is None else folders
    paths = [path for folder in searched for path in toml_files(folder / _FOLDER)]
    return {path.stem: read_set(path) for path in paths}


def find_set(name: str, folders: tuple[Path, ...] | None = None) -> WeightSet:
    """Find the set of a name.

    Raises:
        WeightsError: there is none.
    """
    sets = list_sets(folders)
    if name not in sets:
        raise WeightsError(f"there is no set of weights named {name!r}; known are: {', '.join(sets) or 'none'}")
    return sets[name]
