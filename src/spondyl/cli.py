"""The command line: options in, exit status out; what the commands do is elsewhere and imported when they run.

Exit status: 0 done; 1 a fault of Spondyl's; 2 wrong usage or unreadable input, said in one sentence on stderr;
3 done, but nothing found; 130 or 143 interrupted; 141 nobody reads the output any more.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO, cast

import typer
from typer.exceptions import TyperException

from spondyl import __version__
from spondyl.benches.table import BENCHES
from spondyl.datasets.table import KINDS
from spondyl.errors import SettingError, SpondylError, requiring
from spondyl.learn.recipes.table import RECIPES
from spondyl.methods import methods_of
from spondyl.stage import Stage, Structure
from spondyl.terminal import (
    INTERRUPTED,
    Lossy,
    explained_ends,
    interrupted_status,
    note,
    printable,
    raise_if_interrupted,
    run_as_process,
    show,
)

if TYPE_CHECKING:
    from spondyl.errors import Named
    from spondyl.findings import Findings

__all__ = ["app", "main"]

DEBUG = "SPONDYL_DEBUG"
"""Set to 1, this environment variable shows tracebacks and libraries' messages, which may hold a patient's data."""

NOTHING_FOUND = 3
_TYPER_INTERRUPTED = 130


def _method_help(stage: Stage) -> str:
    """The help of the option that names the methods of a stage."""
    methods = methods_of(stage)
    if not methods:
        return "No method in this version."
    return f"{_list_named(methods)}; else as the weights want."


def _list_named(table: Iterable[Named], separator: str = "; ") -> str:
    """The lines of a table with their summaries."""
    return separator.join(f"{line.name}: {line.summary}" for line in table)


_UNCHECKED: dict[str, Any] = {"readable": False}
"""Options of paths: readers say what is wrong without a file's name, which the command line's own check would quote."""

app = typer.Typer(
    name="spondyl",
    help="Read a spinal MR: vertebrae and levels, with a probability on every statement. Not a medical device.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they print local variables' values
    rich_markup_mode=None,  # plain help, at once
)
models = typer.Typer(help="Weights: what there is, and bringing in published ones.", no_args_is_help=True)
app.add_typer(models, name="models")


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    if version:
        show(f"spondyl {__version__}")
        raise typer.Exit


@app.command()
def analyze(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="NIfTI or MHA file, DICOM file, folder or zip.", **_UNCHECKED)
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder to make, else <input>_spondyl.", **_UNCHECKED)
    ] = None,
    modality: Annotated[Literal["mr", "ct"] | None, typer.Option(help="Overrides what the reader would guess.")] = None,
    stages: Annotated[str, typer.Option(help="Comma-separated; this version has exactly these.")] = "locate,identify",
    locate: Annotated[str | None, typer.Option(help=_method_help(Stage.LOCATE))] = None,
    refine: Annotated[str | None, typer.Option(help=_method_help(Stage.REFINE))] = None,
    identify: Annotated[str | None, typer.Option(help=_method_help(Stage.IDENTIFY))] = None,
    segment: Annotated[str | None, typer.Option(help=_method_help(Stage.SEGMENT))] = None,
    weights: Annotated[str, typer.Option(help="Set of weights, e.g. spinenet-official once imported.")] = "spondyl",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where networks run.")] = "auto",
    engine: Annotated[Literal["auto", "torch", "openvino"], typer.Option(help="What runs them.")] = "auto",
) -> None:
    """Find and name the vertebrae of a scan, and write a report."""
    _refuse_absent_stages(stages)
    from spondyl.imaging.modality import Modality
    from spondyl.pipeline import analyze_file
    from spondyl.plan import Plan
    from spondyl.report.write import default_folder, require_usable_folder, write_report

    plan = Plan(
        locate=locate,
        refine=refine,
        identify=identify,
        segment=segment,
        weights=weights,
        engine=engine,
        device=device,
    )
    folder = default_folder(source) if out is None else out
    require_usable_folder(folder)
    known = None if modality is None else Modality(modality)
    with _quiet_libraries(), _progress() as show_step:

        def tell(step: str) -> None:
            raise_if_interrupted()
            show_step(step)

        analysis = analyze_file(source, plan, modality=known, tell=tell)
        tell("report")
        write_report(analysis.findings, analysis.reading, folder)
    with suppress(OSError):  # the report is written, whoever reads the summary
        _summarise(analysis.findings, folder)
    if analysis.findings.is_empty:
        raise typer.Exit(NOTHING_FOUND)


@app.command()
def schema() -> None:
    """Print the JSON schema of report.json."""
    import json

    from spondyl.findings import findings_schema

    show(json.dumps(findings_schema(), indent=1))


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File ending in .nii.gz, or DICOM folder, to make.")],
    modality: Annotated[Literal["mr", "ct"], typer.Option(help="How it is scanned.")] = "mr",
    fov: Annotated[Literal["lumbar", "cervical", "thoracic", "whole"], typer.Option(help="Field of view.")] = "lumbar",
    seed: Annotated[int, typer.Option(help="The same seed gives the same patient.")] = 0,
    format_: Annotated[Literal["nifti", "dicom"], typer.Option("--format", help="Of the scan.")] = "nifti",
    sequence: Annotated[str | None, typer.Option(help="Of MR: t2, t1, stir, dixon-water ... else drawn.")] = None,
    spacing: Annotated[float | None, typer.Option(help="Of pixels, mm, 0.3 to 5; else as usual.")] = None,
    variant: Annotated[
        str | None, typer.Option(help="regular, T11, T13, L4, L6, sacralised or lumbarised; else drawn.")
    ] = None,
    cobb: Annotated[float | None, typer.Option(help="Scoliosis, degrees, 0 to 90; else drawn.")] = None,
    severity: Annotated[float | None, typer.Option(help="Wear and tear, 0 (none) to 1; else drawn.")] = None,
    fracture: Annotated[
        list[str] | None, typer.Option(help="L1, L1:wedge (or biconcave, crush) or L1:wedge:2; several times.")
    ] = None,
    slip: Annotated[list[str] | None, typer.Option(help="L4/L5:6, forward, mm, at most 20; several times.")] = None,
    screws: Annotated[str | None, typer.Option(help="L4,L5 or none; else drawn.")] = None,
    varied: Annotated[bool, typer.Option("--varied", help="Also small, shifted and oblique scans.")] = False,
) -> None:
    """Make a synthetic patient, scan it, and write the scan with its masks and its truth beside it."""
    from spondyl.phantom.options import PhantomOptions
    from spondyl.phantom.write import Format, require_new, write_phantom

    options = PhantomOptions.from_text(
        modality=modality,
        field=fov,
        seed=seed,
        sequence=sequence,
        spacing_mm=spacing,
        variant=variant,
        cobb_deg=cobb,
        severity=severity,
        fractures=tuple(fracture or ()),
        slips=tuple(slip or ()),
        screws=screws,
        is_varied=varied,
    )
    require_new(out, Format(format_))
    from spondyl.phantom.patient import make_phantom

    write_phantom(make_phantom(options), out, Format(format_))


@models.command("list")
def list_models() -> None:
    """List the weights that there are."""
    from spondyl.nets.cards import list_cards

    for card in list_cards():
        show(f"{card.name:32} {card.network:12} {card.preset:12} {card.licence}")


@models.command("show")
def show_model(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Show a card: what the weights were trained on, how well they do, how to make them again."""
    from spondyl.nets.cards import find_card

    show(find_card(name).to_toml().rstrip())


@models.command("import")
def import_model(
    kind: Annotated[Literal["spinenet"], typer.Argument(metavar="KIND", help="spinenet")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the published checkpoints are.")],
) -> None:
    """Bring in published weights; their own licence holds."""
    cards = _later("spondyl.nets.adapters", "models import", "torch").import_spinenet(folder)
    with suppress(OSError):  # they are in, whoever reads the list
        for card in cards:
            show(f"{card.name}: {card.licence}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help=_list_named(RECIPES))],
    run: Annotated[
        Path, typer.Option("-o", "--out", help="Folder of checkpoints and weights; training resumes there.")
    ],
    data: Annotated[
        list[str] | None, typer.Option(metavar="KIND:PATH", help=f"{_list_named(KINDS)}; may be given several times.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="Weights to go on from, by name; else random ones.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps in all, else the recipe's own number.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    fold: Annotated[
        int | None, typer.Option(help="Leave this fold of the real exams out, 1 to 3, and measure on it.")
    ] = None,
) -> None:
    """Train a network by its recipe, or fit the decoder's settings to one."""
    from spondyl.learn.recipes.table import TrainingRequest, run_recipe

    sources = tuple(_kind_and_path(text) for text in data or ())
    run_recipe(TrainingRequest(recipe=recipe, sources=sources, run=run, start=start, steps=steps, seed=seed, fold=fold))


@app.command()
def evaluate(
    predicted: Annotated[
        Path, typer.Argument(metavar="PREDICTED", help="A report, its folder, or a folder of many.", **_UNCHECKED)
    ],
    truth: Annotated[
        Path, typer.Argument(metavar="TRUTH", help="A mask or centroids, or a folder of them.", **_UNCHECKED)
    ],
) -> None:
    """Compare reports with the truth: the share of bodies found and rightly named, and the distance of their centres.

    TRUTH is a mask of whole vertebrae or of bodies in VerSe's codes (its bodies count), a JSON of centroids
    (VerSe's _ctd.json or {"centroids_ras_mm": {"L1": [r, a, s]}}), or the truth of a phantom. In folders, files are of
    one case when their names begin alike: case01_spondyl/report.json and case01_truth.json, case01_ctd.json,
    case01_seg.nii.gz or case01.json. Whatever has no partner is counted below the table.
    """
    show(_later("spondyl.metrics.compare", "evaluate").compare(predicted, truth))


@app.command()
def bench(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help=_list_named(BENCHES))] = None,
    data: Annotated[Path | None, typer.Option(help="Where the labelled scans are.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of what a long benchmark makes, which goes on there; else temporary.")
    ] = None,
) -> None:
    """Measure, and print the table beside the paper's numbers; without NAME, list what can be measured."""
    from spondyl.benches.run import run_bench

    show(_list_named(BENCHES, "\n") if name is None else run_bench(name, data=data, run=run))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave the process with its exit status.

    Args:
        arguments: without the program's name; those of the process when None.
    """
    try:
        with explained_ends():
            status = app(args=arguments, prog_name="spondyl", standalone_mode=False)
            if status == _TYPER_INTERRUPTED:
                raise KeyboardInterrupt
        sys.exit(status)
    except TyperException as error:
        _refuse(error.format_message())
        sys.exit(2)
    except KeyboardInterrupt:
        _complain(INTERRUPTED)
        sys.exit(interrupted_status())
    except SpondylError as error:
        _complain(str(error))
        sys.exit(2)
    except MemoryError:
        _complain("the memory of this machine does not suffice for this scan")
        sys.exit(2)
    except Exception as error:  # the one place where everything is caught: a traceback may show a patient's data
        _complain(f"a fault of Spondyl's own ({type(error).__name__}); {DEBUG}=1 shows where")
        sys.exit(1)


def _refuse(message: str) -> None:
    """Say what is wrong with the arguments; where there are none, the message is the help."""
    if message.startswith("Usage:"):
        note(message)
    else:
        _complain(f"{message.removesuffix('.')}; --help shows what there is")


def _complain(sentence: str) -> None:
    if os.environ.get(DEBUG) == "1":
        note(traceback.format_exc())
    note(f"spondyl: {' '.join(sentence.split())}")


def _refuse_absent_stages(stages: str) -> None:
    """Refuse anything but the stages that have methods; a report names what was found, so none can be left out."""
    present = [stage for stage in Stage if any(Structure.VERTEBRA in m.structures for m in methods_of(stage))]
    if {stage.strip() for stage in stages.split(",")} != set(present):
        raise SettingError(f"--stages must be {','.join(present)} in this version, got {stages!r}")


def _kind_and_path(text: str) -> tuple[str, Path]:
    kind, colon, path = text.partition(":")
    if not (kind and colon and path):
        raise SettingError(f"--data must be KIND:PATH, got {text!r}")
    return kind, Path(path)


def _later(module: str, command: str, extra: str = "train") -> ModuleType:
    """A command's module; without it or its packages, one sentence that says so."""
    try:
        with requiring(extra, command):
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise SettingError(f"this version has no {command!r} yet") from error


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Silence libraries, whose messages quote the headers that they read."""
    if os.environ.get(DEBUG) == "1":
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Tell the stage: a bar on a terminal, plain lines otherwise, both on stderr."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield note
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from spondyl.pipeline import STEPS

    columns = (TextColumn("{task.description:16}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=cast(TextIO, Lossy(sys.stderr))), transient=True) as bar:
        steps = [*STEPS, "report"]
        task = bar.add_task("", total=len(steps))
        yield lambda step: bar.update(task, description=step, completed=steps.index(step.split()[0]))


def _summarise(findings: Findings, folder: Path) -> None:
    for warning in findings.warnings:
        note(f"warning: {warning}")
    for vertebra in findings.vertebrae:
        show(f"{vertebra.level:4} {vertebra.level_probability:.3f}")
    if findings.is_empty:
        note("spondyl: no vertebra was found in this scan")
    show(f"report in {printable(str(folder))}")


if __name__ == "__main__":
    run_as_process(main)
