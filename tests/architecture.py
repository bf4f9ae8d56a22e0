"""Print `docs/architecture.md`: the way of the data and the rooms, drawn from the tables that the program reads."""

import sys
from collections.abc import Iterable, Iterator
from typing import get_args

from spondyl import reading
from spondyl.benches.table import BENCHES
from spondyl.datasets.table import KINDS
from spondyl.learn.recipes.table import RECIPES
from spondyl.methods import METHODS, methods_of
from spondyl.nets.places import shipped_weights_folder
from spondyl.nets.presets import NETWORKS
from spondyl.nets.weight_sets import list_sets
from spondyl.report.outputs import OUTPUTS
from spondyl.stage import Stage
from test_arrows import FOUNDATION, MAY_IMPORT, ROOT

HEAD = """\
# Architecture

This page is drawn from the program's tables by `make docs`, and a test fails when it is out of date. Do not edit it by
hand: edit a table, or `tests/architecture.py`.

Spondyl reads a scan and writes findings. The data go one way, through stages that always run in this order. All methods
of a stage take and return the same types, so that one can replace another. A stage without a method is skipped.
`CONTRIBUTING.md` says how to add a line to each table.
"""
ROOMS = """\
A room is a package, or a file, below `src/spondyl`. It may import itself, `errors`, `files`, `types` and the rooms that
are listed beside it; `tests/test_arrows.py` holds this table and checks it. *Foundation* stands for
"""


def flow() -> Iterator[str]:
    """The way from a scan to the files of a report, as a Mermaid flowchart."""
    yield "flowchart TD"
    yield '    scan(["scan: a file, folder or zip"]) -->|read| study["study: the volume and its sagittal stack"]'
    previous, carried = "study", ""
    for stage in Stage:
        methods = methods_of(stage)
        names = "<br>".join(method.name for method in methods) or "no method yet"
        yield f'    {previous} -->{carried} {stage}["<b>{stage}</b><br>{names}"]'
        if not methods:
            yield f"    style {stage} stroke-dasharray: 4"
        previous, carried = stage, result_of(stage)
    yield f'    {previous} -->{carried} findings["findings"]'
    for output in OUTPUTS:
        yield f'    findings --> {identifier(output.name)}(["{output.name}"])'


def result_of(stage: Stage) -> str:
    """What a stage hands on, as the label of an arrow; empty where no type in `spondyl.reading` says it."""
    function = getattr(reading, stage.capitalize(), None)
    if function is None:
        return ""
    result = get_args(function)[1]
    return f"|{getattr(result, '__name__', result)}|" if result.__module__.startswith("spondyl") else "|Measurements|"


def learning() -> Iterator[str]:
    """The way from labelled data to weights, as a Mermaid flowchart."""
    yield "flowchart LR"
    for recipe in RECIPES:
        sources = (
            [f'{identifier(kind.name)}(["{kind.name}"])' for kind in KINDS]
            if recipe.needs_data
            else ['simulate["simulate"]']
        )
        for source in sources:
            yield f'    {source} --> train_{identifier(recipe.name)}["<b>{recipe.name}</b>"]'
        yield f'    train_{identifier(recipe.name)} --> card(["weights and their card"])'


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield from (f"| {' | '.join(cells)} |" for cells in (header, ("---",) * len(header), *rows))


def code(text: str) -> str:
    return f"`{text}`"


def identifier(name: str) -> str:
    """A name that Mermaid takes for a node."""
    return name.replace(".", "_").replace("-", "_")


def place(opens: str) -> str:
    """The file in which the function "module:function" is."""
    return code(opens.partition(":")[0].removeprefix("spondyl.").replace(".", "/") + ".py")


def methods() -> Iterator[tuple[str, ...]]:
    defaults = {
        (modality, stage, name): weights.name
        for weights in list_sets((shipped_weights_folder(),)).values()
        for modality, stages in weights.methods.items()
        for stage, names in stages.items()
        for name in names
    }
    for method in METHODS:
        made_for = {defaults.get((modality, method.stage, method.name), "") for modality in method.modalities} - {""}
        yield (
            str(method.stage),
            code(method.name),
            method.summary,
            ", ".join(sorted(method.structures)),
            ", ".join(sorted(method.modalities)),
            ", ".join(method.networks),
            place(method.opens),
            ", ".join(sorted(made_for)),
        )


def is_there(room: str) -> bool:
    """Tell whether this version has a room."""
    return (ROOT / room).is_dir() or (ROOT / f"{room}.py").is_file()


def rooms() -> Iterator[tuple[str, ...]]:
    for room, others in filter(lambda line: is_there(line[0]), MAY_IMPORT.items()):
        if set(FOUNDATION) <= set(others):
            others = ("*Foundation*", *(other for other in others if other not in FOUNDATION))
        yield code(room), ", ".join(other for other in others if other[0] == "*" or is_there(other))


def page() -> str:
    sections: tuple[tuple[str, Iterable[str]], ...] = (
        ("From a scan to a report", ("```mermaid", *flow(), "```")),
        (
            "Methods: `methods.py`",
            table(
                ("stage", "method", "summary", "finds or names", "scans", "networks", "file", "default of"), methods()
            ),
        ),
        (
            "Networks: `nets/presets.py`",
            table(
                ("network", "sizes", "file"),
                (
                    (code(name), ", ".join(one.presets), code(f"nets/{one.sources[0].name}"))
                    for name, one in NETWORKS.items()
                ),
            ),
        ),
        (
            "Outputs: `report/outputs.py`",
            table(("file of a report",), ((code(output.name),) for output in OUTPUTS)),
        ),
        ("From labelled data to weights", ("```mermaid", *learning(), "```")),
        (
            "Recipes: `learn/recipes/table.py`",
            table(("recipe", "summary", "file"), ((code(one.name), one.summary, place(one.opens)) for one in RECIPES)),
        ),
        (
            "Kinds of data: `datasets/table.py`",
            table(("kind", "summary", "file"), ((code(one.name), one.summary, place(one.opens)) for one in KINDS)),
        ),
        (
            "Benches: `benches/table.py`",
            table(
                ("bench", "summary", "needs labelled scans", "file"),
                ((code(b.name), b.summary, "yes" if b.needs_data else "", place(b.opens)) for b in BENCHES),
            ),
        ),
        (
            "Rooms",
            (
                f"{ROOMS}{', '.join(code(room) for room in FOUNDATION if is_there(room))}.",
                "",
                *table(("room", "may import"), rooms()),
            ),
        ),
    )
    return "\n".join([HEAD, *("\n".join([f"## {title}", "", *lines, ""]) for title, lines in sections)])


if __name__ == "__main__":
    sys.stdout.write(page())
