"""The command line itself: unusual names and options, output folders that cannot be, and streams that nobody reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from spondyl.benches.hostile.case import ANY, DONE, EMPTY, REFUSED, Call, Case, Family, Workspace
from spondyl.benches.hostile.folders import AS_USER, find_missing_privilege
from spondyl.benches.hostile.nifti.damage import NAME, make_base_nifti

__all__ = ["list_command_line_cases", "write_honest_scan"]

_NAMES, _OPTIONS, _OUTPUT, _STREAMS = (Family(name) for name in ("names", "options", "output folder", "streams"))
_REPORTED = (DONE, EMPTY)

_UNUSUAL_NAMES = {
    "an escape sequence": "\x1b]0;x\x07\x1b[31m.nii",
    "line feeds": "a\nspondyl: done\n.nii",
    "a carriage return": "a\r.nii",
    "a turned direction": "a\u202eiin.nii",
    "bytes that are no UTF-8": os.fsdecode(b"\xff\xfe\x80.nii"),
    "a surrogate": os.fsdecode(b"\xed\xa0\x80.nii"),
    "spaces": "  .nii",
    "a hyphen in front": "./-o",
    "255 bytes": "x" * 251 + ".nii",
    "no letters": ".nii",
    "quotes and wild cards": "'\"$(touch x)*?;&|.nii",
}


def list_command_line_cases() -> Iterator[Case]:
    """List all cases of names, options, output folders and streams."""
    yield from _names()
    yield from _options()
    yield from _output()
    yield from _streams()


def write_honest_scan(site: Workspace) -> Path:
    """Write the honest scan."""
    return site.put(NAME, make_base_nifti())


def _names() -> Iterator[Case]:
    for title, name in _UNUSUAL_NAMES.items():
        yield _NAMES.alike(f"a file named with {title}", partial(_named, name))
        yield _NAMES.refused(f"no file named with {title}", partial(_absent, name))
    for title in ("an escape sequence", "line feeds", "bytes that are no UTF-8", "255 bytes", "quotes and wild cards"):
        name = _UNUSUAL_NAMES[title]
        call = Call(statuses=(DONE,) if len(name) < 200 else ANY, out=f"results/{name.removesuffix('.nii')}")
        yield _NAMES.case(f"an output folder named with {title}", write_honest_scan, call)
        yield _NAMES.case(f"no output folder named, {title}", partial(_named, name), Call(out=None))
    for title, source in {
        "nothing": "",
        "a name of 5000 letters": "x" * 5000,
        "a path of 5000 parts": "x/" * 5000,
    }.items():
        yield _NAMES.refused(f"input: {title}", partial(_text, source))


def _named(name: str, site: Workspace) -> str:
    (site.scans / name).write_bytes(make_base_nifti())
    return f"scans/{name}"


def _absent(name: str, _site: Workspace) -> str:
    return f"scans/{name}"


def _text(text: str, _site: Workspace) -> str:
    return text


def _options() -> Iterator[Case]:
    for arguments in (
        ("--no-such-option",),
        ("--no-such-option=Zweistein^Albertine",),
        ("second-input",),
        ("--modality", "xr"),
        ("--modality", ""),
        ("--engine", "steam"),
        ("--device", "\x1b[31mred"),
        ("--device", "cuda:99"),
        ("--weights", "../../etc/passwd"),
        ("--weights", "no-such\x07weights"),
        ("--weights", ""),
        ("--weights", "x" * 5000),
        ("--locate", "nothing"),
        ("--identify", os.fsdecode(b"\xff")),
        ("--stages", ""),
        ("--stages", "read,\nspondyl: done"),
        ("--segment", "safnet"),
    ):
        shown = " ".join(arguments).encode("unicode_escape", "surrogateescape").decode()[:50]
        yield _OPTIONS.refused(f"{shown!r}", write_honest_scan, *arguments)
    yield _OPTIONS.case("no value for -o", write_honest_scan, Call(statuses=(REFUSED,), out=None, arguments=("-o",)))
    for variable in (
        "PYTHONUTF8",
        "LANG",
        "COLUMNS",
        "TMPDIR",
        "XDG_CACHE_HOME",
        "SPONDYL_HOME",
    ):
        value = {"PYTHONUTF8": "0", "LANG": "C", "LC_ALL": "tr_TR.ISO-8859-9"}.get(variable, "/no/such\x1b")
        yield _OPTIONS.case(
            f"{variable} set to what is not there",
            write_honest_scan,
            Call(statuses=(DONE,), environment={variable: value}),
            is_like_base=True,
        )
    yield _OPTIONS.case(
        "ASCII only",
        partial(_named, "ä.nii"),
        Call(statuses=(DONE,), environment={"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    )


def _output() -> Iterator[Case]:
    refused = Call(statuses=(REFUSED,))
    for title, out in {
        "the input": f"scans/{NAME}",
        "below a file": f"scans/{NAME}/out",
        "the input's folder": "scans",
        "the current directory": ".",
        "the root": "/",
        "/dev/null": "/dev/null",
        "/proc/self": "/proc/self/out",
        "/dev/full": "/dev/full/out",
        "nothing": "",
        "a name of 300 letters": "results/" + "x" * 300,
        "a path of 5000 parts": "results/" + "x/" * 5000,
        "a folder that holds something else": "results/full",
        "a link to nothing": "results/dangling",
        "a link to itself": "results/loop",
        "a pipe": "results/pipe",
    }.items():
        yield _OUTPUT.case(title, _with_places, replace(refused, out=out))
    for title, out in {
        "a folder to be made in folders to be made": "results/a/b/c/out",
        "an empty folder": "results/empty",
        "with dots in it": "results/empty/../out",
        "with a slash behind it": "results/out/",
        "a link to an empty folder": "results/link",
    }.items():
        yield _OUTPUT.case(
            title, _with_places, Call(statuses=_REPORTED if title != "a link to an empty folder" else ANY, out=out)
        )
    for title, mode in {"may not be written in": 0o500, "may not be entered": 0o600}.items():
        yield Case(
            name=f"in a folder that {title}",
            family=_OUTPUT.name,
            prepare=partial(_locked_results, mode),
            calls=(replace(refused, shell=AS_USER),),
            obstacle=find_missing_privilege,
        )
    yield _OUTPUT.case(
        "files of at most 512 bytes", write_honest_scan, replace(refused, shell='ulimit -f 1; exec "$@"')
    )
    yield _OUTPUT.case("16 open files", write_honest_scan, Call(shell='ulimit -n 16; exec "$@"'))
    twice = Call(statuses=(DONE,))
    yield _OUTPUT.case("an earlier report", write_honest_scan, twice, twice, is_like_base=True)
    yield _OUTPUT.case(
        "an earlier report, and an input that is refused",
        write_honest_scan,
        twice,
        replace(refused, arguments=("--weights", "none")),
    )


def _with_places(site: Workspace) -> Path:
    """The honest scan, and places that an output folder may not be."""
    results = site.results
    (results / "full").mkdir()
    (results / "full" / "diary.txt").write_text("keep me", encoding="utf-8")
    (results / "empty").mkdir()
    (results / "target").mkdir()
    (results / "link").symlink_to("target")
    (results / "dangling").symlink_to("nowhere/at/all")
    (results / "loop").symlink_to("loop")
    os.mkfifo(results / "pipe")
    return write_honest_scan(site)


def _locked_results(mode: int, site: Workspace) -> Path:
    site.results.chmod(mode)
    return write_honest_scan(site)


def _streams() -> Iterator[Case]:
    """Yield cases in which streams are full, closed or not read."""
    reported = Call(statuses=(DONE,))
    for title, shell in {
        "stdout is full": 'exec "$@" >/dev/full',
        "stderr is full": 'exec "$@" 2>/dev/full',
        "both are full": 'exec "$@" >/dev/full 2>/dev/full',
        "stdout is closed": 'exec "$@" >&-',
        "stderr is closed": 'exec "$@" 2>&-',
        "stdin is closed": 'exec "$@" <&-',
        "all are closed": 'exec "$@" <&- >&- 2>&-',
        "stdin never ends": 'exec "$@" </dev/zero',
    }.items():
        yield _STREAMS.case(title, write_honest_scan, replace(reported, shell=shell), is_like_base=True)
    yield _STREAMS.case(
        "nobody reads stdout", write_honest_scan, replace(reported, broken=("stdout",)), is_like_base=True
    )
    yield _STREAMS.case(
        "nobody reads stderr", write_honest_scan, replace(reported, broken=("stderr",)), is_like_base=True
    )
    yield _STREAMS.case(
        "nobody reads either", write_honest_scan, replace(reported, broken=("stdout", "stderr")), is_like_base=True
    )
    refused = Call(statuses=(REFUSED,))
    yield _STREAMS.case(
        "a refusal while stderr is full", partial(_absent, "x"), replace(refused, shell='exec "$@" 2>/dev/full')
    )
    yield _STREAMS.case(
        "a refusal while stderr is closed", partial(_absent, "x"), replace(refused, shell='exec "$@" 2>&-')
    )
    yield _STREAMS.case(
        "a refusal while nobody reads stderr", partial(_absent, "x"), replace(refused, broken=("stderr",))
    )
