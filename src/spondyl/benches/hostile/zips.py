"""Zips: bombs of several kinds, paths that lead out, methods nobody reads, directories that lie, and heaps of files."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from spondyl.benches.hostile.base import PATIENT, make_base_series
from spondyl.benches.hostile.bombs import deflate_zeros
from spondyl.benches.hostile.case import Case, Family, Prepare, Workspace
from spondyl.benches.hostile.metaimage import make_metaimage
from spondyl.benches.hostile.nifti.damage import make_base_nifti

__all__ = ["list_zip_cases"]

_FAMILY = Family("zip")
_NAME = f"{PATIENT}.zip"
_SCAN = f"{PATIENT}.nii"
_NUMBERED = b"scan%05d"
_GB = 10**9


def list_zip_cases() -> Iterator[Case]:
    """List all cases of this family."""
    yield from _honest()
    yield from _odd_names()
    yield from _heaps()
    yield from _damaged()
    yield from _bombs()


def _zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return stream.getvalue()


@cache
def _series() -> dict[str, bytes]:
    return {f"{PATIENT}/{number * 7 % 16}": content for number, content in enumerate(make_base_series())}


@cache
def _one() -> bytes:
    return _zipped({_SCAN: make_base_nifti()})


def _content(content: bytes) -> Prepare:
    return lambda site: site.put(_NAME, content)


def _files(files: Callable[[], Mapping[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> Prepare:
    return lambda site: site.put(_NAME, _zipped(files(), method))


def _honest() -> Iterator[Case]:
    methods = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}
    for name, method in methods.items():
        yield _FAMILY.alike(f"NIfTI, {name}", _files(lambda: {_SCAN: make_base_nifti()}, method))
        yield _FAMILY.alike(f"DICOM, {name}", _files(_series, method))
    for name, method in {"bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}.items():
        yield _FAMILY.handled(f"DICOM, {name}", _files(_series, method))
    yield _FAMILY.alike(
        "notes beside the scan", _files(lambda: {_SCAN: make_base_nifti(), "a.txt": b"a", "b/c.xml": b"<c/>"})
    )
    yield _FAMILY.alike(
        "what macOS adds", _files(lambda: {_SCAN: make_base_nifti(), f"__MACOSX/._{_SCAN}": bytes(163)})
    )
    yield _FAMILY.refused("two NIfTI scans", _files(lambda: {_SCAN: make_base_nifti(), "other.nii": make_base_nifti()}))
    yield _FAMILY.refused(
        "NIfTI and MetaImage", _files(lambda: {_SCAN: make_base_nifti(), "a.mha": make_metaimage({}, b"")})
    )
    yield _FAMILY.handled("a zip in the zip", _files(lambda: {"inner.zip": _one()}))
    yield _FAMILY.handled("zips in each other, 50 deep", _content(_nested(50)))
    yield _FAMILY.handled("bytes before it", _content(b"#!/bin/sh\n" + _one()))
    yield _FAMILY.alike("bytes behind it", _content(_one() + b"\n" * 100))
    yield _FAMILY.alike(
        "a comment of 65 kB", _content(_one()[:-2] + struct.pack("<H", 65535) + PATIENT.encode().ljust(65535))
    )


def _nested(depth: int) -> bytes:
    content = _one()
    for _ in range(depth):
        content = _zipped({"inner.zip": content}, zipfile.ZIP_STORED)
    return content


def _odd_names() -> Iterator[Case]:
    for name in (
        "/etc/scan.nii",
        "../scan.nii",
        "a/../../../scan.nii",
        "C:\\scan.nii",
        "..\\..\\scan.nii",
        "//host/share/scan.nii",
    ):
        yield _FAMILY.refused(f"named {name}", _files(partial(_named, name)))
    for title, name in {
        "control characters": "a\x1b]0;x\x07\r\n.nii",
        "spaces": " ",
        "255 directories": "d/" * 255 + "scan.nii",
        "60,000 letters": "x" * 60_000,
        "the direction of writing turned": "scan\u202ein.exe",
    }.items():
        yield _FAMILY.handled(f"a name of {title}", _files(partial(_named, name)))
    yield _FAMILY.handled(
        "one name twice",
        _content(_renamed({"a.nii": make_base_nifti(), "b.nii": make_base_nifti()}, b"b.nii", b"a.nii")),
    )
    yield _FAMILY.handled(
        "a name with a zero byte", _content(_renamed({"axnii": make_base_nifti()}, b"axnii", b"a\0nii"))
    )
    yield _FAMILY.handled(
        "a name that is no UTF-8", _content(_renamed({"axnii": make_base_nifti()}, b"axnii", b"a\xffnii"))
    )
    yield _FAMILY.handled("a link to a file outside", _link)


def _named(name: str) -> dict[str, bytes]:
    return {name: make_base_nifti()}


def _renamed(files: Mapping[str, bytes], old: bytes, new: bytes) -> bytes:
    return _zipped(files, zipfile.ZIP_STORED).replace(old, new)


def _link(site: Workspace) -> Path:
    info = zipfile.ZipInfo("scan.nii")
    info.external_attr = 0o120777 << 16
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return site.put(_NAME, stream.getvalue())


def _heaps() -> Iterator[Case]:
    for count in (4000, 20_000):
        yield _FAMILY.alike(f"{count} small files beside a series", _files(partial(_with_notes, count)))
    yield _FAMILY.refused(
        "20000 small files", _files(lambda: {f"{n}.txt": b"note" for n in range(20_000)}, zipfile.ZIP_STORED)
    )
    yield _FAMILY.refused(
        "20000 empty files that claim to be DICOM",
        _files(lambda: {f"{n}": bytes(128) + b"DICM" for n in range(20_000)}),
    )
    yield _FAMILY.refused("20000 folders", _files(lambda: {f"{n}/": b"" for n in range(20_000)}))
    yield _FAMILY.refused("nothing", _content(_zipped({})))
    yield _FAMILY.refused("an empty file", _files(lambda: {"scan.nii": b""}))


def _with_notes(count: int) -> dict[str, bytes]:
    return {f"notes/{n}.txt": b"note" for n in range(count)} | _series()


def _damaged() -> Iterator[Case]:
    one = _one()
    for count in (4, 30, 1000, len(one) // 2, len(one) - 22, len(one) - 1):
        yield _FAMILY.refused(f"cut off after {count} bytes", _content(one[:count]))
    for name, at in {"its first name": 34, "the packed bytes": len(one) // 2, "the checksum": 14}.items():
        yield _FAMILY.handled(f"damaged: {name}", _content(one[:at] + b"\xa5\x5a\xa5" + one[at + 3 :]))
    for name, changed in {
        "encrypted": replace(_honest_entry(), flags=1),
        "strongly encrypted": replace(_honest_entry(), flags=0x41),
        "method 99": replace(_honest_entry(), method=99),
        "method 9": replace(_honest_entry(), method=9),
        "method 98": replace(_honest_entry(), method=98),
        "a wrong checksum": replace(_honest_entry(), checksum=1),
        "a file that begins at 4 GB": replace(_honest_entry(), offset=2**32 - 2),
    }.items():
        yield _FAMILY.refused(name, _content(_repeated(changed)))
    for size in (0, 100, 2**32 - 2):
        yield _FAMILY.refused(f"a stated size of {size}", _content(_repeated(replace(_honest_entry(), size=size))))
        packed = replace(_honest_entry(), packed_size=size)
        yield (_FAMILY.handled if size > 100 else _FAMILY.refused)(
            f"a stated packed size of {size}", _content(_repeated(packed))
        )
    entries = _repeated(_honest_entry(), stated=65534)
    yield _FAMILY.handled("a directory of 65534 entries, one there", _content(entries))


def _bombs() -> Iterator[Case]:
    yield _FAMILY.refused(
        "20 GB of zeros, honestly stated", lambda site: site.put(_NAME, _bomb(b"", 20 * _GB, 2**32 - 2))
    )
    yield _FAMILY.refused(
        "4 GB of zeros, stated as 1 MB", lambda site: site.put(_NAME, _bomb(make_base_nifti(), 4 * _GB, 10**6))
    )
    yield _FAMILY.refused(
        "90 MB of zeros in each of 40 files", lambda site: site.put(_NAME, _overlapping(40, 90 * 10**6))
    )
    yield _FAMILY.refused("3000 entries that share 20 MB", lambda site: site.put(_NAME, _overlapping(3000, 20 * 10**6)))
    yield _FAMILY.refused(
        "a bomb within a zip",
        lambda site: site.put(_NAME, _zipped({"inner.zip": _bomb(b"", 4 * _GB, 2**32 - 2)})),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A file's packed bytes, and what the directory states of it."""

    packed: bytes
    checksum: int
    size: int
    packed_size: int
    flags: int = 0
    method: int = zipfile.ZIP_DEFLATED
    offset: int = 0

    @property
    def stated(self) -> bytes:
        """The fields that a file's own header and the directory share; APPNOTE 4.3.7 and 4.3.12."""
        sizes = (self.checksum, self.packed_size, self.size)
        return struct.pack("<HHHIIII", 20, self.flags, self.method, 0, *sizes) + struct.pack(
            "<HH", len(_NUMBERED % 0), 0
        )


@cache
def _honest_entry() -> _Entry:
    content = make_base_nifti()
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush()
    return _Entry(packed=packed, checksum=zlib.crc32(content), size=len(content), packed_size=len(packed))


def _repeated(entry: _Entry, count: int = 1, stated: int | None = None) -> bytes:
    """A zip whose directory lists a file so many times, and may state another number."""
    body = b"PK\3\4" + entry.stated + _NUMBERED % 0 + entry.packed
    head = b"PK\1\2" + struct.pack("<H", 20) + entry.stated + struct.pack("<HHHII", 0, 0, 0, 0, entry.offset)
    directory = b"".join(head + _NUMBERED % number for number in range(count))
    total = count if stated is None else stated
    return body + directory + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, total, total, len(directory), len(body), 0)


def _bomb(prefix: bytes, zeros: int, stated: int) -> bytes:
    packed = b"".join(deflate_zeros(prefix, zeros))
    return _repeated(replace(_honest_entry(), packed=packed, packed_size=len(packed), size=stated))


def _overlapping(count: int, zeros: int) -> bytes:
    packed = b"".join(deflate_zeros(bytes(128) + b"DICM", zeros))
    return _repeated(replace(_honest_entry(), packed=packed, packed_size=len(packed), size=zeros), count)
