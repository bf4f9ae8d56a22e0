"""MetaImage: headers that lie, voxels that are elsewhere, and streams that are damaged or unpack without end."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np

from spondyl.benches.hostile.base import PATIENT, PATIENT_ID, make_base_affine, make_base_voxels
from spondyl.benches.hostile.bombs import make_zlib_bomb, write_sparse_file
from spondyl.benches.hostile.case import Case, Family, Workspace

__all__ = ["list_metaimage_cases", "make_metaimage"]

_FAMILY = Family("MetaImage")
_NAME = f"{PATIENT}.mha"
_GB = 10**9

_REFUSED: dict[str, tuple[str, ...]] = {
    "NDims": ("0", "1", "2", "4", "-1", "1000000000", "three", "nan"),
    "DimSize": (
        "0 120 120",
        "-15 120 120",
        "15 120",
        "15 120 120 120",
        "nan 120 120",
        "981 981 981",
        "99999999 9 9",
        "",
    ),
    "ElementSpacing": ("0 2.4 2.4", "nan 2.4 2.4", "inf 2.4 2.4", "4.4 2.4", "1e30 1e30 1e30"),
    "TransformMatrix": ("0 0 0 0 0 0 0 0 0", "nan 0 0 0 1 0 0 0 1", "inf 0 0 0 1 0 0 0 1", "1 0 0 0 1 0"),
    "Offset": ("nan 0 0", "inf 0 0", "0 0", "x y z"),
    "ElementType": ("MET_OTHER", "MET_STRING", "MET_DOUBLE", PATIENT, ""),
    "ElementNumberOfChannels": ("3", "0", "-1", "x"),
    "ElementDataFile": ("/etc/passwd", "../../../../../../etc/passwd", "LIST", "other.raw", "image%03d.raw 1 15 1", ""),
    "CompressedData": ("True",),
    "HeaderSize": ("1000000000",),
}
_HANDLED: dict[str, tuple[str, ...]] = {
    "NDims": ("3.0",),
    "ElementSpacing": ("-4.4 2.4 2.4", "1e-9 1e-9 1e-9", "4.4e3 2.4e3 2.4e3"),
    "TransformMatrix": ("1 0 0 0 0.7 0.7 0 -0.7 0.7", "1 0.5 0 0 1 0 0 0 1", "1 0 0 0 1 0 0 0 -1", "2 0 0 0 1 0 0 0 1"),
    "Offset": ("1e9 1e9 1e9", "1e300 0 0"),
    "BinaryDataByteOrderMSB": ("True", "perhaps"),
    "BinaryData": ("False",),
    "HeaderSize": ("-1", "x"),
    "ElementNumberOfChannels": ("1.0",),
    "ObjectType": (PATIENT,),
    "AnatomicalOrientation": (PATIENT,),
    "Comment": (PATIENT * 100,),
}


def list_metaimage_cases() -> Iterator[Case]:
    """List all cases of this family."""
    for field, values in _REFUSED.items():
        yield from (_FAMILY.refused(f"{field} {v[:40]!r}", partial(_changed, {field: v})) for v in values)
    for field, values in _HANDLED.items():
        yield from (_FAMILY.handled(f"{field} {v[:40]!r}", partial(_changed, {field: v})) for v in values)
    for field in ("NDims", "DimSize", "ElementType", "ElementDataFile"):
        yield _FAMILY.refused(f"no {field}", partial(_changed, {field: None}))
    for field in ("ElementSpacing", "TransformMatrix", "Offset", "ObjectType"):
        yield _FAMILY.handled(f"no {field}", partial(_changed, {field: None}))
    yield from _whole()
    yield from _packed()


def make_metaimage(changes: dict[str, str | None], content: bytes) -> bytes:
    """Make a MetaImage with the honest scan's header, changes (None takes a field away), then the content."""
    header = {name: value for name, value in (_header() | changes).items() if value is not None}
    data_file = header.pop("ElementDataFile", None)
    lines = [f"{name} = {value}\n" for name, value in header.items()]
    lines += [] if data_file is None else [f"ElementDataFile = {data_file}\n"]
    return "".join(lines).encode() + content


@cache
def _raw() -> bytes:
    return make_base_voxels().tobytes(order="F")


def _header() -> dict[str, str | None]:
    affine = np.diag([-1.0, -1, 1, 1]) @ make_base_affine()  # LPS, as MetaImage wants it
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    return {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": " ".join(f"{cosine + 0:g}" for cosine in (affine[:3, :3] / spacing_mm).T.ravel()),
        "Offset": " ".join(f"{mm:.6f}" for mm in affine[:3, 3]),
        "ElementSpacing": " ".join(f"{mm:.6f}" for mm in spacing_mm),
        "DimSize": " ".join(map(str, make_base_voxels().shape)),
        "PatientName": PATIENT,
        "PatientID": PATIENT_ID,
        "ElementType": "MET_SHORT",
        "ElementDataFile": "LOCAL",
    }


def _changed(changes: dict[str, str | None], site: Workspace) -> Path:
    return site.put(_NAME, make_metaimage(changes, _raw()))


def _whole() -> Iterator[Case]:
    content = make_metaimage({}, _raw())
    text = len(content) - len(_raw())
    yield _FAMILY.alike("as it is", lambda site: site.put(_NAME, content))
    yield _FAMILY.handled(
        "lines that end as in Windows",
        lambda site: site.put(_NAME, content[:text].replace(b"\n", b"\r\n") + _raw()),
    )
    for count in (5, 20, 100, text - 1, text, len(content) // 2, len(content) - 1):
        yield _FAMILY.refused(f"cut off after {count} bytes", partial(_cut, count))
    yield _FAMILY.handled("bytes behind the voxels", lambda site: site.put(_NAME, content + bytes(10**6)))
    yield _FAMILY.refused("a header line of 20 MB", lambda site: site.put(_NAME, b"Comment = " + b"x" * 20_000_000))
    yield _FAMILY.refused("a million header lines", lambda site: site.put(_NAME, b"Comment = x\n" * 1_000_000))
    yield _FAMILY.refused(
        "a hole of 100 GB for a header", lambda site: write_sparse_file(site.scans / _NAME, b"NDims = ", 100 * _GB)
    )
    yield _FAMILY.handled(
        "a hole of 100 GB behind the voxels", lambda site: write_sparse_file(site.scans / _NAME, content, 100 * _GB)
    )
    yield _FAMILY.refused("1.9 GB of voxels, all of them a hole", _hole)
    yield _FAMILY.refused("not a number among the voxels", _not_finite)


def _cut(count: int, site: Workspace) -> Path:
    return site.put(_NAME, make_metaimage({}, _raw())[:count])


def _hole(site: Workspace) -> Path:
    return write_sparse_file(site.scans / _NAME, make_metaimage({"DimSize": "981 981 981"}, b""), 2 * _GB)


def _not_finite(site: Workspace) -> Path:
    voxels = make_base_voxels().astype(np.float32)
    voxels[3, 4, 5] = np.nan
    return site.put(_NAME, make_metaimage({"ElementType": "MET_FLOAT"}, voxels.tobytes(order="F")))


def _packed() -> Iterator[Case]:
    packed = zlib.compress(_raw(), 1)
    size = len(packed)
    zipped: dict[str, str | None] = {"CompressedData": "True", "CompressedDataSize": str(size)}

    def case(changes: dict[str, str | None], content: bytes) -> partial[Path]:
        return partial(_put, make_metaimage(zipped | changes, content))

    yield _FAMILY.alike("packed", case({}, packed))
    for text in ("0", "5", "1000000000000000000", "x"):
        yield _FAMILY.handled(f"packed, size {text}", case({"CompressedDataSize": text}, packed))
    for count in (0, 2, size // 2, size - 4, size - 1):
        yield _FAMILY.refused(f"packed, cut off after {count} bytes", case({}, packed[:count]))
    for name, at in {"head": 0, "middle": size // 2, "checksum": size - 2}.items():
        yield _FAMILY.refused(
            f"packed, damaged: {name}", case({}, packed[:at] + bytes([packed[at] ^ 0x5A]) + packed[at + 1 :])
        )
    yield _FAMILY.refused("packed, more than declared", case({"DimSize": "10 120 120"}, packed))
    yield _FAMILY.refused("packed, less than declared", case({"DimSize": "20 120 120"}, packed))
    yield _FAMILY.refused(
        "packed, 20 GB of zeros behind the voxels",
        lambda site: _put(make_metaimage(zipped, make_zlib_bomb(_raw(), 20 * _GB)), site),
    )
    bomb: dict[str, str | None] = zipped | {"DimSize": "981 981 981"}
    yield _FAMILY.refused(
        "packed, 1.9 GB of zeros", lambda site: _put(make_metaimage(bomb, make_zlib_bomb(b"", 2 * _GB)), site)
    )


def _put(content: bytes, site: Workspace) -> Path:
    return site.put(_NAME, content)
