"""Running cases: each in a workspace of its own, with a warm cache, a watch on the network, and a judge."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from spondyl.benches.hostile.case import DONE, KILLED, Call, Case, Workspace
from spondyl.benches.hostile.judge import Snapshot, find_faults, find_report_folder, snapshot
from spondyl.benches.hostile.nifti.damage import make_base_nifti
from spondyl.benches.hostile.process import run_bounded
from spondyl.errors import SettingError
from spondyl.findings import Findings

__all__ = ["Result", "Runner", "install_watch", "open_runner"]

_WARM_UP_S, _WARM_UP_GB = 120.0, 4.0
_PREPARING = Lock()
"""pydicom's settings and Python's warnings are those of the whole process."""

_LOG = "SPONDYL_HOSTILE_LOG"
_WATCH = f'''"""Refuses every connection and notes who tried."""
import os, sys
def _refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        with open(os.environ["{_LOG}"], "a") as log:
            print(event, file=log)
        raise OSError("there is no network")
sys.addaudithook(_refuse)
'''
"""Python runs a module of the name `sitecustomize` before anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A case after its calls.

    Args:
        case: which.
        statuses: the exit status of each call.
        seconds: of the longest call.
        peak_gb: of the call that held most.
        faults: what was wrong; empty when the case was handled.
        said: the last that the last call said on stderr.
        obstacle: why the case was not run; empty where it was.
    """

    case: Case
    statuses: tuple[int, ...] = ()
    seconds: float = 0.0
    peak_gb: float = 0.0
    faults: tuple[str, ...] = ()
    said: str = ""
    obstacle: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs cases.

    Args:
        top: a folder of its own.
        command: the program that is tested, without its arguments.
        base: the findings of the honest scan; None leaves them out of the judgement.
    """

    top: Path
    command: tuple[str, ...]
    base: Findings | None = None

    def run(self, case: Case) -> Result:
        """Run a case in a folder that is gone afterwards."""
        if obstacle := case.obstacle():
            return Result(case=case, obstacle=obstacle)
        site = Workspace(self.top / f"{case.seed:08x}", case.seed).make()
        try:
            if self.warm_cache.is_dir():
                shutil.copytree(self.warm_cache, site.cache, copy_function=os.link)  # what changes it copies it
            return self._run_calls(case, site)
        finally:
            _remove(site.top)

    @property
    def warm_cache(self) -> Path:
        """The folder with the contents of the cache at the start of every case."""
        return self.top / "warm"

    def _run_calls(self, case: Case, site: Workspace) -> Result:
        with _PREPARING:
            source = case.prepare(site)
        before = snapshot(site)
        results = []
        for call in case.calls:
            result, after = self._run_call(case, call, site, source, before)
            results.append(result)
            if result.statuses != (KILLED,):  # the next run clears up after a killed one
                before = after
        return _merged(case, results)

    def _run_call(
        self, case: Case, call: Call, site: Workspace, source: Path | str, before: Snapshot
    ) -> tuple[Result, Snapshot]:
        log = self.top / f"{site.top.name}.log"
        outcome = run_bounded(
            ["/bin/sh", "-c", call.shell, "sh", *self.command, *_arguments(call, source, site)],
            folder=site.top,
            environment=_environment(call, site, self.top / "watch", log),
            limit_s=case.limit_s,
            limit_gb=1.1 * case.limit_gb,
            broken=call.broken,
            interrupt=call.interrupt,
            results=site.results,
        )
        after = snapshot(site)
        found = find_faults(
            case,
            call,
            outcome,
            report=find_report_folder(call, site, source),
            before=before,
            after=after,
            connections=_taken(log),
            base=self.base,
        )
        result = Result(
            case=case,
            statuses=(outcome.status,),
            seconds=outcome.seconds,
            peak_gb=outcome.peak_gb,
            faults=tuple(found),
            said=outcome.stderr,
        )
        return result, after


@contextmanager
def open_runner() -> Iterator[Runner]:
    """Make a runner, and run the honest scan once to warm its cache and know its findings.

    Raises:
        SettingError: the honest scan itself is not analysed.
    """
    with TemporaryDirectory(prefix="spondyl-hostile-") as name, _interruptible():
        top = Path(name).resolve()
        top.chmod(0o711)  # some cases are run as another user
        install_watch(top)
        runner = Runner(top=top, command=(sys.executable, "-m", "spondyl.cli", "analyze"))
        yield replace(runner, base=_warm_up(runner))


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let programs started here be interrupted, though a shell starts what runs in its background deaf to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def install_watch(top: Path) -> None:
    """Put the watch on the network where a runner looks for it."""
    (top / "watch").mkdir(exist_ok=True)
    (top / "watch" / "sitecustomize.py").write_text(_WATCH, encoding="utf-8")


def _warm_up(runner: Runner) -> Findings:
    """The findings of the honest scan, whose run leaves a cache behind."""
    site = Workspace(runner.top / "first").make()
    source = site.put("scan.nii", make_base_nifti())
    call = Call(statuses=(DONE,))
    environment = _environment(call, site, runner.top / "watch", runner.top / "first.log")
    command = [*runner.command, *_arguments(call, source, site)]
    outcome = run_bounded(command, folder=site.top, environment=environment, limit_s=_WARM_UP_S, limit_gb=_WARM_UP_GB)
    if outcome.status != DONE:
        raise SettingError(f"the honest scan must be analysed before hostile ones are, got status {outcome.status}")
    if site.cache.is_dir():
        shutil.copytree(site.cache, runner.warm_cache)
    return Findings.from_json((find_report_folder(call, site, source) / "report.json").read_bytes())


def _arguments(call: Call, source: Path | str, site: Workspace) -> list[str]:
    out = [] if call.out is None else ["-o", os.path.join(site.top, call.out)]  # noqa: PTH118  # keeps odd names
    return [str(source), *out, *call.arguments]


def _environment(call: Call, site: Workspace, watch: Path, log: Path) -> dict[str, str]:
    """Nothing of the user's own but what Python needs."""
    path = os.pathsep.join(part for part in (str(watch), os.environ.get("PYTHONPATH", "")) if part)
    environment: dict[str, str | None] = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(site.home),
        "TMPDIR": str(site.top / "tmp"),
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        _LOG: str(log),
        **call.environment,
    }
    return {name: value.replace("{top}", str(site.top)) for name, value in environment.items() if value is not None}


def _taken(log: Path) -> str:
    """The events in the watch's log, each once; the log is gone afterwards."""
    if not log.exists():
        return ""
    events = sorted(set(log.read_text(encoding="utf-8").split()))
    log.unlink()
    return " ".join(events)


def _merged(case: Case, results: Sequence[Result]) -> Result:
    return Result(
        case=case,
        statuses=tuple(status for result in results for status in result.statuses),
        seconds=max(result.seconds for result in results),
        peak_gb=max(result.peak_gb for result in results),
        faults=tuple(dict.fromkeys(fault for result in results for fault in result.faults)),
        said=results[-1].said,
    )


def _remove(folder: Path) -> None:
    """Remove a folder whose parts may have been made unreadable."""
    folder.chmod(stat.S_IRWXU)
    for root, names, _ in os.walk(folder):
        for name in names:
            path = Path(root, name)
            if not path.is_symlink():
                path.chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)
