"""Folders: empty, endless, full of what is no file, and with Spondyl's own reports and phantoms in them."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from spondyl.benches.hostile.base import PATIENT, make_base_phantom, make_base_series
from spondyl.benches.hostile.case import ANY, DONE, REFUSED, Call, Case, Family, Workspace
from spondyl.benches.hostile.nifti.damage import make_base_nifti
from spondyl.phantom.write import Format, write_phantom

__all__ = ["AS_USER", "find_missing_privilege", "list_folder_cases"]

_FAMILY = Family("folders")

_IS_SUPERUSER = hasattr(os, "geteuid") and os.geteuid() == 0
AS_USER = f'exec {"setpriv --bounding-set=-all --inh-caps=-all " if _IS_SUPERUSER else ""}"$@"'
"""Shell command that runs the program without the superuser's right to read everything."""


def find_missing_privilege() -> str:
    """The reason why a command cannot be run without the superuser's rights; empty where it can."""
    can_drop = not _IS_SUPERUSER or shutil.which("setpriv")
    return "" if can_drop else "needs setpriv, or a user other than the superuser"


def list_folder_cases() -> Iterator[Case]:
    """List all cases of this family."""
    yield _FAMILY.alike("one NIfTI file", _scan)
    yield _FAMILY.refused("empty", lambda site: site.scans)
    yield _FAMILY.refused("two NIfTI files", lambda site: _with(site, lambda r: r.put("second.nii", make_base_nifti())))
    yield _FAMILY.refused("20000 empty files", partial(_many, b""))
    yield _FAMILY.refused("20000 texts", partial(_many, b"note"))
    yield _FAMILY.alike("2000 texts beside the scan", lambda site: _with(site, partial(_notes, 2000)))
    yield _FAMILY.alike("what systems leave behind", lambda site: _with(site, _system_files))
    yield _FAMILY.alike("300 folders deep", _deep)
    yield _FAMILY.handled("names that are no UTF-8", _undecodable)
    yield _FAMILY.handled(
        "names of control characters", lambda site: site.put("a\x1b]0;x\x07\n.nii", make_base_nifti()).parent
    )
    yield from _special_files()
    yield from _links()
    yield from _unreadable()
    yield from _own_files()


def _scan(site: Workspace) -> Path:
    return site.put(f"{PATIENT}/{PATIENT}.nii", make_base_nifti()).parent.parent


def _with(site: Workspace, add: Callable[[Workspace], object]) -> Path:
    add(site)
    return _scan(site)


def _many(content: bytes, site: Workspace) -> Path:
    for number in range(20_000):
        site.put(f"{number % 100}/{number}", content)
    return site.scans


def _notes(count: int, site: Workspace) -> None:
    for number in range(count):
        site.put(f"notes/{number}.txt", b"note")


def _system_files(site: Workspace) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._scan.nii", "#scan#", "scan.nii.tmp", "empty.nii"):
        site.put(name, b"" if name == "empty.nii" else b"\0\0\0\1Bud1")


def _deep(site: Workspace) -> Path:
    site.put("/".join(["d"] * 300 + ["scan.nii"]), make_base_nifti())
    return site.scans


def _undecodable(site: Workspace) -> Path:
    (site.scans / os.fsdecode(b"\xff\xfe.nii")).write_bytes(make_base_nifti())
    return site.scans


def _special_files() -> Iterator[Case]:
    """Pipes, sockets and devices, beside a scan and in place of one."""
    yield _FAMILY.alike("a pipe beside the scan", lambda site: _with(site, lambda r: os.mkfifo(r.scans / "pipe")))
    yield _FAMILY.alike("a socket beside the scan", lambda site: _with(site, _socket))
    yield _FAMILY.refused("a pipe alone", _pipe)
    yield _FAMILY.refused("a pipe in a folder", lambda site: _pipe(site).parent)
    for device in ("/dev/zero", "/dev/null", "/dev/urandom", "/dev/full", "/dev/tty"):
        yield _FAMILY.refused(f"{device} as input", partial(_device, device))
    yield _FAMILY.refused("/proc/self as input", partial(_device, "/proc/self/fdinfo"))


def _pipe(site: Workspace) -> Path:
    os.mkfifo(site.scans / "pipe")
    return site.scans / "pipe"


def _socket(site: Workspace) -> None:
    here = os.open(site.scans, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{here}/socket")  # a socket's whole path must be short
    finally:
        os.close(here)


def _device(device: str, _site: Workspace) -> str:
    return device


def _links() -> Iterator[Case]:
    yield _FAMILY.alike("a link to its own folder", lambda site: _with(site, partial(_link, "loop", ".")))
    yield _FAMILY.alike("a link to the folder above", lambda site: _with(site, partial(_link, "up", "..")))
    yield _FAMILY.alike("a link to nothing", lambda site: _with(site, partial(_link, "dangling.nii", "nowhere")))
    yield _FAMILY.alike("links that follow each other", lambda site: _with(site, _circle))
    yield _FAMILY.refused("a link to itself as input", _self)
    yield _FAMILY.handled("a link to the scan as input", lambda site: _link_to_scan(site))
    yield _FAMILY.handled(
        "a link to a pipe and the scan", lambda site: _with(site, partial(_link, "zero.nii", "/dev/zero"))
    )


def _link(name: str, target: str, site: Workspace) -> None:
    (site.scans / name).symlink_to(target)


def _circle(site: Workspace) -> None:
    _link("first", "second", site)
    _link("second", "first", site)


def _self(site: Workspace) -> Path:
    _link("self.nii", "self.nii", site)
    return site.scans / "self.nii"


def _link_to_scan(site: Workspace) -> Path:
    site.put("scan.nii", make_base_nifti())
    _link("link.nii", "scan.nii", site)
    return site.scans / "link.nii"


def _unreadable() -> Iterator[Case]:
    for name, path, mode, statuses in (
        ("an unreadable file beside the scan", "secret.txt", 0o000, ANY),
        ("an unreadable scan", f"{PATIENT}/{PATIENT}.nii", 0o000, (REFUSED,)),
        ("an unreadable folder", PATIENT, 0o000, (REFUSED,)),
        ("an unreadable folder as input", ".", 0o000, (REFUSED,)),
        ("a folder that may be listed and not entered", PATIENT, 0o400, (REFUSED,)),
    ):
        yield Case(
            name=name,
            family=_FAMILY.name,
            prepare=partial(_locked, path, mode),
            calls=(Call(statuses=statuses, shell=AS_USER),),
            obstacle=find_missing_privilege,
        )
    yield Case(
        name="an unreadable file as input",
        family=_FAMILY.name,
        prepare=_locked_file,
        calls=(Call(statuses=(REFUSED,), shell=AS_USER),),
        obstacle=find_missing_privilege,
    )


def _locked_file(site: Workspace) -> Path:
    path = site.put(f"{PATIENT}.nii", make_base_nifti())
    path.chmod(0o000)
    return path


def _locked(path: str, mode: int, site: Workspace) -> Path:
    site.put("secret.txt", b"secret")
    folder = _scan(site)
    (site.scans / path).chmod(mode)
    return folder


def _own_files() -> Iterator[Case]:
    """Yield cases in which Spondyl's own output lies beside a scan or in place of one."""
    twice = (Call(statuses=(DONE,), out="scans/out"), Call(statuses=(DONE,), out="scans/out"))
    yield _FAMILY.case("the report within the input, twice, NIfTI", _scan, *twice, is_like_base=True)
    yield _FAMILY.case("the report within the input, twice, DICOM", _series, *twice, is_like_base=True)
    inner = (Call(statuses=(DONE,), out="scans/one"), Call(statuses=(DONE,), out="scans/two"))
    yield _FAMILY.case("two reports within the input", _scan, *inner, is_like_base=True)
    for format_ in Format:
        yield _FAMILY.alike(f"a {format_} phantom with its masks and truth", partial(_phantom, format_))


def _series(site: Workspace) -> Path:
    for number, content in enumerate(make_base_series()):
        site.put(f"{number}.dcm", content)
    return site.scans


def _phantom(format_: Format, site: Workspace) -> Path:
    write_phantom(make_base_phantom(), site.scans / ("p.nii.gz" if format_ is Format.NIFTI else "p"), format_)
    return site.scans
