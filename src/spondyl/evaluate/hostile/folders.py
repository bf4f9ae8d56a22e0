"""Folders: empty, endless, full of what is no file, and with Spondyl's own reports and phantoms in them."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from spondyl.evaluate.hostile.base import PATIENT, base_phantom, base_series
from spondyl.evaluate.hostile.case import ANY, DONE, REFUSED, Call, Case, Family, Room
from spondyl.evaluate.hostile.nifti_bytes import base_nifti
from spondyl.phantom.write import Format, write_phantom

__all__ = ["AS_USER", "folder_cases", "without_privileges"]

_FAMILY = Family("folders")

_IS_SUPERUSER = hasattr(os, "geteuid") and os.geteuid() == 0
AS_USER = f'exec {"setpriv --bounding-set=-all --inh-caps=-all " if _IS_SUPERUSER else ""}"$@"'
"""How a shell starts a command that may not read what its user may not."""


def without_privileges() -> str:
    """Why a command cannot be run without the rights of the superuser; empty where it can."""
    can_drop = not _IS_SUPERUSER or shutil.which("setpriv")
    return "" if can_drop else "needs setpriv, or a user other than the superuser"


def folder_cases() -> Iterator[Case]:
    """All cases of this family."""
    yield _FAMILY.alike("one NIfTI file", _scan)
    yield _FAMILY.refused("empty", lambda room: room.scans)
    yield _FAMILY.refused("two NIfTI files", lambda room: _with(room, lambda r: r.put("second.nii", base_nifti())))
    yield _FAMILY.refused("20000 empty files", partial(_many, b""))
    yield _FAMILY.refused("20000 texts", partial(_many, b"note"))
    yield _FAMILY.alike("2000 texts beside the scan", lambda room: _with(room, partial(_notes, 2000)))
    yield _FAMILY.alike("what systems leave behind", lambda room: _with(room, _system_files))
    yield _FAMILY.alike("300 folders deep", _deep)
    yield _FAMILY.handled("names that are no UTF-8", _undecodable)
    yield _FAMILY.handled(
        "names of control characters", lambda room: room.put("a\x1b]0;x\x07\n.nii", base_nifti()).parent
    )
    yield from _special_files()
    yield from _links()
    yield from _unreadable()
    yield from _own_files()


def _scan(room: Room) -> Path:
    return room.put(f"{PATIENT}/{PATIENT}.nii", base_nifti()).parent.parent


def _with(room: Room, add: Callable[[Room], object]) -> Path:
    add(room)
    return _scan(room)


def _many(content: bytes, room: Room) -> Path:
    for number in range(20_000):
        room.put(f"{number % 100}/{number}", content)
    return room.scans


def _notes(count: int, room: Room) -> None:
    for number in range(count):
        room.put(f"notes/{number}.txt", b"note")


def _system_files(room: Room) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._scan.nii", "#scan#", "scan.nii.tmp", "empty.nii"):
        room.put(name, b"" if name == "empty.nii" else b"\0\0\0\1Bud1")


def _deep(room: Room) -> Path:
    room.put("/".join(["d"] * 300 + ["scan.nii"]), base_nifti())
    return room.scans


def _undecodable(room: Room) -> Path:
    (room.scans / os.fsdecode(b"\xff\xfe.nii")).write_bytes(base_nifti())
    return room.scans


def _special_files() -> Iterator[Case]:
    """Pipes, sockets and devices, beside a scan and in place of one."""
    yield _FAMILY.alike("a pipe beside the scan", lambda room: _with(room, lambda r: os.mkfifo(r.scans / "pipe")))
    yield _FAMILY.alike("a socket beside the scan", lambda room: _with(room, _socket))
    yield _FAMILY.refused("a pipe alone", _pipe)
    yield _FAMILY.refused("a pipe in a folder", lambda room: _pipe(room).parent)
    for device in ("/dev/zero", "/dev/null", "/dev/urandom", "/dev/full", "/dev/tty"):
        yield _FAMILY.refused(f"{device} as input", partial(_device, device))
    yield _FAMILY.refused("/proc/self as input", partial(_device, "/proc/self/fdinfo"))


def _pipe(room: Room) -> Path:
    os.mkfifo(room.scans / "pipe")
    return room.scans / "pipe"


def _socket(room: Room) -> None:
    here = os.open(room.scans, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{here}/socket")  # a socket's whole path must be short
    finally:
        os.close(here)


def _device(device: str, _room: Room) -> str:
    return device


def _links() -> Iterator[Case]:
    yield _FAMILY.alike("a link to its own folder", lambda room: _with(room, partial(_link, "loop", ".")))
    yield _FAMILY.alike("a link to the folder above", lambda room: _with(room, partial(_link, "up", "..")))
    yield _FAMILY.alike("a link to nothing", lambda room: _with(room, partial(_link, "dangling.nii", "nowhere")))
    yield _FAMILY.alike("links that follow each other", lambda room: _with(room, _circle))
    yield _FAMILY.refused("a link to itself as input", _self)
    yield _FAMILY.handled("a link to the scan as input", lambda room: _link_to_scan(room))
    yield _FAMILY.handled(
        "a link to a pipe and the scan", lambda room: _with(room, partial(_link, "zero.nii", "/dev/zero"))
    )


def _link(name: str, target: str, room: Room) -> None:
    (room.scans / name).symlink_to(target)


def _circle(room: Room) -> None:
    _link("first", "second", room)
    _link("second", "first", room)


def _self(room: Room) -> Path:
    _link("self.nii", "self.nii", room)
    return room.scans / "self.nii"


def _link_to_scan(room: Room) -> Path:
    room.put("scan.nii", base_nifti())
    _link("link.nii", "scan.nii", room)
    return room.scans / "link.nii"


def _unreadable() -> Iterator[Case]:
    for name, path, mode, statuses in (
        ("an unreadable file beside the scan", "secret.txt", 0o000, ANY),
        ("an unreadable scan", f"{PATIENT}/{PATIENT}.nii", 0o000, (REFUSED,)),
        ("an unreadable folder", PATIENT, 0o000, (REFUSED,)),
        ("a folder that may be listed and not entered", PATIENT, 0o400, (REFUSED,)),
    ):
        yield Case(
            name=name,
            family=_FAMILY.name,
            prepare=partial(_locked, path, mode),
            calls=(Call(statuses=statuses, shell=AS_USER),),
            obstacle=without_privileges,
        )


def _locked(path: str, mode: int, room: Room) -> Path:
    room.put("secret.txt", b"secret")
    folder = _scan(room)
    (room.scans / path).chmod(mode)
    return folder


def _own_files() -> Iterator[Case]:
    """What Spondyl writes is no scan, wherever it lies."""
    twice = (Call(statuses=(DONE,), out="scans/out"), Call(statuses=(DONE,), out="scans/out"))
    yield _FAMILY.case("the report within the input, twice, NIfTI", _scan, *twice, is_like_base=True)
    yield _FAMILY.case("the report within the input, twice, DICOM", _series, *twice, is_like_base=True)
    inner = (Call(statuses=(DONE,), out="scans/one"), Call(statuses=(DONE,), out="scans/two"))
    yield _FAMILY.case("two reports within the input", _scan, *inner, is_like_base=True)
    for format_ in Format:
        yield _FAMILY.alike(f"a {format_} phantom with its masks and truth", partial(_phantom, format_))


def _series(room: Room) -> Path:
    for number, content in enumerate(base_series()):
        room.put(f"{number}.dcm", content)
    return room.scans


def _phantom(format_: Format, room: Room) -> Path:
    write_phantom(base_phantom(), room.scans / ("p.nii.gz" if format_ is Format.NIFTI else "p"), format_)
    return room.scans
