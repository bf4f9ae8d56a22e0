"""Checks of one call of the command line: exit status, messages, files, time, memory, and what is left behind."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spondyl.benches.hostile.base import IDENTIFIERS
from spondyl.benches.hostile.case import DONE, EMPTY, INTERRUPTED, REFUSED, Call, Case, Workspace
from spondyl.benches.hostile.process import Outcome
from spondyl.errors import InputError
from spondyl.findings import Findings

__all__ = ["Snapshot", "find_faults", "find_report_folder", "is_same", "snapshot"]

_SENTENCE = "spondyl: "
_STAGES = "read|sagittal|networks|locate|refine|identify|segment|grade|measure|report"
_LINE = re.compile(rf"spondyl: |warning: |({_STAGES})( [a-z-]+)?$")
"""Lines that are allowed on stderr: a sentence, a warning, or the name of a stage with that of its method."""

_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but the line feed, and those that turn the direction of writing."""

_SAME_PLACE_MM = 1.0
_OWN_FORMATS = (".dcm",)
"""DICOM objects name the images that they refer to, as the standard wants."""

_CACHE = "/.cache/spondyl"

Snapshot = Mapping[str, tuple[int, ...]]
"""Everything below a folder: path to what tells whether it was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """A call, how it ended, and its report, if any."""

    call: Call
    outcome: Outcome
    report: Path

    @property
    def writes(self) -> bool:
        return self.outcome.status in (DONE, EMPTY)


def snapshot(site: Workspace) -> Snapshot:
    """All files and folders of a case, but those in Spondyl's own cache, whichever home it lies in."""
    return dict(_entries(site.top))


def _entries(folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """List the entries of a folder at any depth; a folder that may not be read has none."""
    with suppress(PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            about = entry.stat(follow_symlinks=False)
            if entry.path.endswith(_CACHE):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield entry.path, (about.st_mode,)
                yield from _entries(Path(entry.path))
            else:
                yield entry.path, (about.st_mode, about.st_size, about.st_mtime_ns)


def find_report_folder(call: Call, site: Workspace, source: Path | str) -> Path:
    """Resolve the folder in which a call's report belongs."""
    if call.out is not None:
        return Path(os.path.realpath(site.top / call.out))  # which takes links that go in circles
    path = Path(os.path.realpath(site.top / source))
    return path.with_name(re.sub(r"(\.nii)?(\.gz|\.nii|\.mha|\.dcm|\.zip)?$", "", path.name) + "_spondyl")


def find_faults(
    case: Case,
    call: Call,
    outcome: Outcome,
    *,
    report: Path,
    before: Snapshot,
    after: Snapshot,
    connections: str = "",
    base: Findings | None = None,
) -> list[str]:
    """List the faults of a call, one phrase each; empty where there is none.

    Args:
        case, call: what was run.
        outcome: how it ended.
        report: the folder where its report belongs.
        before, after: what lay in the case's folder.
        connections: the attempts to reach a network.
        base: the findings of the honest scan.
    """
    scene = _Scene(call=call, outcome=outcome, report=report)
    found = [*_bounds(case, outcome), *_status(scene), *_talk(scene), *_leftovers(scene, before, after)]
    if scene.writes:
        found += _report(scene, base if case.is_like_base else None)
    found += _leaks({"stdout": outcome.stdout.encode(errors="surrogateescape")})
    found += _leaks({"stderr": outcome.stderr.encode(errors="surrogateescape")})
    if connections:
        found.append(f"tried to reach a network: {connections}")
    return found


def _bounds(case: Case, outcome: Outcome) -> Iterator[str]:
    if outcome.stopped:
        yield outcome.stopped
    elif outcome.peak_gb > case.limit_gb:
        yield f"took {outcome.peak_gb:.1f} GB, the limit is {case.limit_gb:.1f}"


def _status(scene: _Scene) -> Iterator[str]:
    status, right = scene.outcome.status, scene.call.statuses
    if status not in right and not scene.outcome.stopped:
        yield f"exit {status}, right is {' or '.join(map(str, right))}"


def _talk(scene: _Scene) -> Iterator[str]:
    stderr = scene.outcome.stderr
    if "Traceback" in stderr:
        yield "shows a traceback"
    lines = stderr.split("\n")
    strange = [line for line in lines if line and not _LINE.match(line)]
    if strange and "Traceback" not in stderr:
        yield f"{len(strange)} lines on stderr that are neither stage, warning nor sentence"
    sentences = sum(line.startswith(_SENTENCE) for line in lines)
    wanted = {DONE: 0, REFUSED: 1, EMPTY: 1, INTERRUPTED: 1}.get(scene.outcome.status)
    is_heard = "stderr" not in scene.call.broken and "2>" not in scene.call.shell
    if wanted is not None and is_heard and sentences != wanted:
        yield f"{sentences} sentences on stderr where {wanted} belongs"
    if _CONTROL.search(stderr + scene.outcome.stdout):
        yield "control characters in what it says"


def _leftovers(scene: _Scene, before: Snapshot, after: Snapshot) -> Iterator[str]:
    kept = (str(scene.report), *map(str, scene.report.parents)) if scene.writes else ()
    within = f"{scene.report}{os.sep}"
    changed = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
    changed = [path for path in changed if not (path.endswith("/.cache") or f"{path}/.cache" in after)]
    strange = sorted(path for path in changed if not (path in kept or (kept and path.startswith(within))))
    if strange and scene.outcome.status >= 0:
        yield f"leaves or changes {len(strange)} other files or folders, such as {Path(strange[0]).name!r}"


def _report(scene: _Scene, base: Findings | None) -> Iterator[str]:
    try:
        findings = Findings.from_json((scene.report / "report.json").read_bytes())
    except OSError:
        yield "no report"
        return
    except InputError as error:
        yield f"an invalid report: {error}"
        return
    if findings.is_empty != (scene.outcome.status == EMPTY):
        yield f"exit {scene.outcome.status} with {len(findings.vertebrae)} vertebrae"
    if base is not None and not is_same(findings, base):
        yield "other findings than in the honest scan"
    yield from _leaks(_contents(scene.report))


def is_same(findings: Findings, base: Findings) -> bool:
    """Say whether two reports name the same vertebrae at the same places, within 1 mm."""
    if [v.level for v in findings.vertebrae] != [v.level for v in base.vertebrae]:
        return False
    pairs = zip(findings.vertebrae, base.vertebrae, strict=True)
    return all(np.abs(np.subtract(a.centroid_mm, b.centroid_mm)).max() <= _SAME_PLACE_MM for a, b in pairs)


def _contents(folder: Path) -> dict[str, bytes]:
    """The files of a report by name, unpacked."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix not in _OWN_FORMATS]
    return {
        path.name: gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in files
    }


def _leaks(contents: Mapping[str, bytes]) -> Iterable[str]:
    for name, content in contents.items():
        lowered = content.lower()
        if any(identifier.encode() in lowered for identifier in IDENTIFIERS):
            yield f"a planted name or number in {name}"
