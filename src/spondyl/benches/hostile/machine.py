"""The state of the machine: a cache that is damaged, a home that is not there, and signals in every stage."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from spondyl.benches.hostile.case import (
    DONE,
    INTERRUPTED,
    KILLED,
    Call,
    Case,
    Family,
    Interrupt,
    Workspace,
)
from spondyl.benches.hostile.command_line import write_honest_scan
from spondyl.benches.hostile.folders import AS_USER, find_missing_privilege

__all__ = ["list_machine_cases"]

_CACHE, _HOME, _SIGNALS = Family("cache"), Family("home"), Family("signals")
_STAGES = ("read", "sagittal", "networks", "locate", "identify", "report")
_FOUND = Call(statuses=(DONE,))


def list_machine_cases() -> Iterator[Case]:
    """List all cases of caches, homes and signals."""
    yield from _caches()
    yield from _homes()
    yield from _interrupted()
    yield from _killed()


def _caches() -> Iterator[Case]:
    """Whatever a cache holds, the findings are those without it, twice."""
    for title, damage in _DAMAGES.items():
        calls = (_FOUND, _FOUND) if title in _TWICE else (_FOUND,)
        yield _CACHE.case(title, partial(_damaged, damage), *calls, is_like_base=True)
    yield _locked("no cache may be written", 0o500, _gone, _CACHE)
    yield _locked("the cache may not be read", 0o000, _untouched, _CACHE)


def _damaged(damage: Callable[[Path], None], site: Workspace) -> Path:
    _unshare(site.cache)
    damage(site.cache)
    return write_honest_scan(site)


def _unshare(cache: Path) -> None:
    """Put copies in the place of files that other cases start with as well."""
    for path in _files(cache):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)


def _untouched(_cache: Path) -> None:
    pass


def _files(cache: Path) -> list[Path]:
    """The largest first."""
    return sorted((path for path in cache.rglob("*") if path.is_file()), key=lambda path: -path.stat().st_size)


def _each(change: Callable[[bytes], bytes], cache: Path) -> None:
    for path in _files(cache):
        path.chmod(0o600)
        path.write_bytes(change(path.read_bytes()))


def _overwritten(share: float, count: int, content: bytes) -> bytes:
    at = int(share * len(content))
    return content[:at] + b"\xa5" * len(content[at : at + count]) + content[at + count :]


def _scattered(content: bytes) -> bytes:
    for number in range(40):
        content = _overwritten((number + 0.5) / 40, 5, content)
    return content


def _exchanged(cache: Path) -> None:
    """Every file gets the content of the next largest one of the same kind."""
    files = _files(cache)
    contents = [path.read_bytes() for path in files]
    for kind in {path.suffix for path in files}:
        places = [number for number, path in enumerate(files) if path.suffix == kind]
        for place, other in zip(places, [*places[1:], *places[:1]], strict=True):
            files[place].chmod(0o600)
            files[place].write_bytes(contents[other])


def _folders(cache: Path) -> None:
    for path in _files(cache):
        path.unlink()
        path.mkdir()


def _dangling(cache: Path) -> None:
    for path in _files(cache):
        path.unlink()
        path.symlink_to("nowhere")


def _gone(cache: Path) -> None:
    shutil.rmtree(cache, ignore_errors=True)


def _no_folder(cache: Path) -> None:
    _gone(cache)
    cache.parent.mkdir(exist_ok=True)
    cache.write_bytes(b"")


def _locked(name: str, mode: int, damage: Callable[[Path], None], family: Family) -> Case:
    """A cache in a home whose rights forbid its use."""
    return Case(
        name=name,
        family=family.name,
        prepare=partial(_locked_cache, mode, damage),
        calls=(Call(statuses=(DONE,), shell=AS_USER),),
        is_like_base=True,
        obstacle=find_missing_privilege,
    )


def _locked_cache(mode: int, damage: Callable[[Path], None], site: Workspace) -> Path:
    damage(site.cache)
    (site.home / ".cache").mkdir(exist_ok=True)
    (site.home / ".cache").chmod(mode)
    return write_honest_scan(site)


def _homes() -> Iterator[Case]:
    """Homes that are not there or may not be used; the findings are the same, uncached where it must be."""
    for title, home in {
        "not there": "{top}/nowhere",
        "a file": "{top}/results/file",
        "/dev/null": "/dev/null",
        "/proc": "/proc",
        "empty": "",
        "with control characters": "{top}/home/\x1b[31m\n",
    }.items():
        call = Call(statuses=(DONE,), environment={"HOME": home})
        yield _HOME.case(title, _with_file, call, is_like_base=True)
    for title, mode in {"that may not be read": 0o000, "that may not be written": 0o500}.items():
        yield Case(
            name=title,
            family=_HOME.name,
            prepare=partial(_locked_home, mode),
            calls=(Call(statuses=(DONE,), shell=AS_USER),),
            is_like_base=True,
            obstacle=find_missing_privilege,
        )
    yield _nobody("none, and a user without an entry", {"HOME": None})
    yield _nobody("that of another user, and a user without an entry", {})


def _with_file(site: Workspace) -> Path:
    (site.results / "file").write_bytes(b"")
    return write_honest_scan(site)


def _locked_home(mode: int, site: Workspace) -> Path:
    site.home.chmod(mode)
    return write_honest_scan(site)


_NOBODY = 54321
"""A user's number that no system gives to anybody."""

_AS_NOBODY = (
    f"exec setpriv --reuid={_NOBODY} --regid={_NOBODY} --clear-groups "
    '--inh-caps=+dac_read_search --ambient-caps=+dac_read_search "$@"'
)
"""Shell command that keeps the right to read everything, since Python itself may lie in a superuser's home."""


def _nobody(name: str, environment: dict[str, str | None]) -> Case:
    return Case(
        name=name,
        family=_HOME.name,
        prepare=_for_nobody,
        calls=(Call(statuses=(DONE,), shell=_AS_NOBODY, environment=environment),),
        is_like_base=True,
        obstacle=_needs_superuser,
    )


def _for_nobody(site: Workspace) -> Path:
    for folder in (site.results, site.top / "tmp"):
        folder.chmod(0o777)
    return write_honest_scan(site)


def _needs_superuser() -> str:
    is_superuser = hasattr(os, "geteuid") and os.geteuid() == 0
    return find_missing_privilege() if is_superuser else "needs the superuser, to become another user"


def _interrupted() -> Iterator[Case]:
    """Ctrl-C: exit 130, one line, and nothing left."""
    for stage in _STAGES:
        for delay_s in (0.0, 0.05) if stage != "report" else (0.0, 0.1):
            call = Call(statuses=(INTERRUPTED,), interrupt=Interrupt(signal=signal.SIGINT, at=stage, delay_s=delay_s))
            yield _SIGNALS.case(f"Ctrl-C {1000 * delay_s:.0f} ms into {stage}", write_honest_scan, call)
    call = Call(statuses=(INTERRUPTED, DONE), interrupt=Interrupt(signal=signal.SIGINT, at="writing"))
    yield _SIGNALS.case("Ctrl-C while the report is written", write_honest_scan, call)
    yield _SIGNALS.case("Ctrl-C while an earlier report is replaced", write_honest_scan, _FOUND, call)
    cold = Call(statuses=(INTERRUPTED,), interrupt=Interrupt(signal=signal.SIGINT, at="networks", delay_s=0.3))
    yield _SIGNALS.case(
        "Ctrl-C while networks are compiled, then again", partial(_damaged, _gone), cold, _FOUND, is_like_base=True
    )


def _killed() -> Iterator[Case]:
    """A killed run loses no earlier report, and the next one clears up after it."""
    for stage, delay_s in (("read", 0.0), ("networks", 0.1), ("locate", 0.1), ("report", 0.0), ("report", 0.2)):
        killed = Call(statuses=(KILLED, DONE), interrupt=Interrupt(signal=signal.SIGKILL, at=stage, delay_s=delay_s))
        name = f"killed {1000 * delay_s:.0f} ms into {stage}, then again"
        yield _SIGNALS.case(name, write_honest_scan, killed, _FOUND, is_like_base=True)
    writing = Interrupt(signal=signal.SIGKILL, at="writing")
    for delay_s in (0.0, 0.001, 0.002, 0.004):
        killed = Call(
            statuses=(KILLED, DONE), interrupt=Interrupt(signal=writing.signal, at=writing.at, delay_s=delay_s)
        )
        name = f"killed {1000 * delay_s:.0f} ms into writing, then again"
        yield _SIGNALS.case(name, write_honest_scan, killed, _FOUND, is_like_base=True)
    cold = Call(statuses=(KILLED,), interrupt=Interrupt(signal=signal.SIGKILL, at="networks", delay_s=0.3))
    yield _SIGNALS.case(
        "killed while networks are compiled, then again", partial(_damaged, _gone), cold, _FOUND, is_like_base=True
    )


_DAMAGES: dict[str, Callable[[Path], None]] = {
    "as it is": _untouched,
    "5 bytes overwritten in the middle of each file": partial(_each, partial(_overwritten, 0.5, 5)),
    "50 bytes overwritten in the middle of each file": partial(_each, partial(_overwritten, 0.5, 50)),
    "5 bytes overwritten at 40 places of each file": partial(_each, _scattered),
    "the first 100 bytes of each file zero": partial(_each, lambda content: bytes(100) + content[100:]),
    "every file cut in half": partial(_each, lambda content: content[: len(content) // 2]),
    "every file empty": partial(_each, lambda _: b""),
    "every file a text": partial(_each, lambda _: b"no compiled network"),
    "files exchanged": _exchanged,
    "a folder in place of each file": _folders,
    "a link to nothing in place of each file": _dangling,
    "a file in place of the folder": _no_folder,
    "gone": _gone,
}
"""Ways to damage a warm cache, given its folder."""

_TWICE = ("50 bytes overwritten in the middle of each file", "files exchanged", "every file empty")
"""Damage after which the second run must find a cache that was put right."""
