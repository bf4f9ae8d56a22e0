"""Small files that claim, or unpack to, gigabytes; made in milliseconds."""

import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import DTypeLike
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from imaging.dicom_files import SAGITTAL, write_series
from imaging.metaimage_files import write_metaimage

GIB = 2**30
HUGE = (990, 1000, 1000)
_BLOCK = 16 * 2**20
LONG_ELEMENT = 3_900_000_000


def deflated_zeros(count: int, start: bytes = b"") -> bytes:
    """A raw deflate stream of some bytes and then zeros, repeated from one block that stands for itself."""
    first, packer = zlib.compressobj(wbits=-15), zlib.compressobj(wbits=-15)
    block = packer.compress(bytes(_BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first.compress(start) + first.flush(zlib.Z_FULL_FLUSH) + block * (count // _BLOCK) + b"\x03\x00"


def nifti_header(shape: tuple[int, ...], dtype: DTypeLike = np.uint8) -> bytes:
    """All that stands before the first voxel."""
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header["magic"], header["vox_offset"] = b"n+1", 352
    return bytes(header.binaryblock) + bytes(4)


def _gzipped(content: bytes) -> bytes:
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + content


def _write(content: bytes, size: int | None = None) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_bytes(content)
        if size is not None:
            os.truncate(path, size)  # a hole, which takes no room on a disk
        return path

    return make


def _metaimage(content: bytes, size: int | None = None, **changes: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        header = write_metaimage(path, **changes).read_bytes().partition(b"LOCAL\n")[0] + b"LOCAL\n"
        return _write(header + content, size)(path)

    return make


def _slice(path: Path, syntax: str | None = None) -> Path:
    (made,) = write_series(path.parent / "slice", replace(SAGITTAL, rows=64, columns=64), numbers=[0])
    if syntax is not None:
        dataset = dcmread(made)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(made)
    return made.rename(path)


def _parts(path: Path) -> tuple[bytes, bytes]:
    """Meta information and data set of a file."""
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    return content[:start], content[start:]


def _deflated_dicom(path: Path) -> Path:
    meta, data_set = _parts(_slice(path))
    explicit = b"1.2.840.10008.1.2.1\x00"
    changed = meta.replace(b"UI\x14\x00" + explicit, b"UI\x16\x00" + b"1.2.840.10008.1.2.1.99")
    assert changed != meta
    length = int.from_bytes(meta[140:144], "little") + 2
    changed = changed[:140] + length.to_bytes(4, "little") + changed[144:]
    trailing = struct.pack("<HH2sHI", 0x7FE1, 0x0010, b"OB", 0, LONG_ELEMENT)
    path.write_bytes(changed + deflated_zeros(4 * GIB, data_set + trailing))
    return path


def _long_element(tag: tuple[int, int], length: int = LONG_ELEMENT) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        meta, data_set = _parts(_slice(path))
        content = meta + struct.pack("<HH2sHI", *tag, b"OB", 0, length)
        _write(content, len(content) + LONG_ELEMENT)(path)
        with path.open("ab") as stream:
            stream.write(data_set)
        return path

    return make


def _long_pixels(path: Path) -> Path:
    content = bytearray(_slice(path).read_bytes())
    at = content.rindex(b"\xe0\x7f\x10\x00")
    content[at + 8 : at + 12] = struct.pack("<I", LONG_ELEMENT)
    return _write(bytes(content), at + 12 + LONG_ELEMENT)(path)


def _long_fragment(path: Path) -> Path:
    content = bytearray(_slice(path, RLELossless).read_bytes())
    at = content.rindex(b"\xfe\xff\x00\xe0")
    content[at + 4 : at + 8] = struct.pack("<I", LONG_ELEMENT)
    return _write(bytes(content[: at + 8]), at + 8 + LONG_ELEMENT)(path)


def _run_lengths(rows: int, segment: bytes) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        dataset = dcmread(_slice(path, RLELossless))
        dataset.Rows = dataset.Columns = rows
        frame = struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13) + 2 * segment
        dataset.PixelData = encapsulate([frame], has_bot=False)
        dataset.save_as(path)
        return path

    return make


def _jpeg_2000_of_another_size(path: Path) -> Path:
    content = bytearray(_slice(path, JPEG2000Lossless).read_bytes())
    at = content.index(b"\xff\x4f\xff\x51") + 8
    content[at : at + 8] = content[at + 16 : at + 24] = struct.pack(">II", 40_000, 40_000)
    return _write(bytes(content))(path)


def _jpeg_ls_of_another_size(path: Path) -> Path:
    content = bytearray(_slice(path, JPEGLSLossless).read_bytes())
    at = content.index(b"\xff\xf7") + 5
    content[at : at + 4] = struct.pack(">HH", 40_000, 40_000)
    return _write(bytes(content))(path)


BOMBS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "NIfTI that ends after its header": (_write(nifti_header(HUGE, np.float64)), "too few for that"),
    "NIfTI of holes": (_write(nifti_header(HUGE), 990 * 10**6 + 352), "too few for that"),
    "NIfTI of zeros": (_write(_gzipped(deflated_zeros(GIB, nifti_header(HUGE)))), "too few for that"),
    "NIfTI that goes on": (
        _write(_gzipped(deflated_zeros(4 * GIB, nifti_header((10, 10, 10))))),
        "more data than its header states",
    ),
    "MetaImage that ends after its header": (_metaimage(b"", DimSize="990 1000 1000"), "too few for that"),
    "MetaImage of holes": (_metaimage(b"", 4 * GIB, DimSize="990 1000 1000"), "too few for that"),
    "MetaImage of zeros": (
        _metaimage(b"\x78\x9c" + deflated_zeros(4 * GIB), packed=True, DimSize="990 1000 1000"),  # type: ignore[arg-type]
        "too few for that",
    ),
    "MetaImage that goes on": (
        _metaimage(b"\x78\x9c" + deflated_zeros(4 * GIB), packed=True),  # type: ignore[arg-type]
        "damaged",
    ),
    "deflated DICOM": (_deflated_dicom, "would unpack to more than"),
    "DICOM with a long ImageType": (_long_element((0x0008, 0x0008)), "no greyscale image"),
    "DICOM with a private element without end": (_long_element((0x0009, 0x1010), 0xFFFFFFFF), "no greyscale image"),
    "DICOM with long pixels": (_long_pixels, "do not have the size"),
    "DICOM with a long fragment": (_long_fragment, "more data than its image needs"),
    "DICOM whose runs are long": (_run_lengths(64, b"\x81\x00" * 10**7), "more data than its image needs"),
    "DICOM of an image that is large": (_run_lengths(30_000, b"\x81\x00" * 10**7), "at most 16777216 pixels"),
    "JPEG 2000 of another size": (_jpeg_2000_of_another_size, "do not have the size"),
    "JPEG-LS of another size": (_jpeg_ls_of_another_size, "do not have the size"),
}
