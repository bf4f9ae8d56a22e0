"""DICOM pixels: of the wrong length, in unknown or damaged encodings, and packed without end."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from spondyl.benches.hostile.base import PATIENT_UID, Dataset, make_base_series, to_bytes, to_dataset, write_series
from spondyl.benches.hostile.bombs import deflate_zeros, write_sparse_file
from spondyl.benches.hostile.case import Case, Family, Prepare, Workspace
from spondyl.benches.hostile.dicom.damage import find_pixel_data, pack_element

__all__ = ["list_dicom_pixel_cases"]

_FAMILY = Family("DICOM pixels")
_SYNTAX = "1.2.840.10008.1.2"
_RLE, _JPEG_LS, _JPEG_2000 = f"{_SYNTAX}.5", f"{_SYNTAX}.4.80", f"{_SYNTAX}.4.90"
_ENCODED = ("4.50", "4.51", "4.57", "4.70", "4.80", "4.81", "4.90", "4.91", "4.92", "4.94", "4.100", "4.201", "5")
_GB = 10**9


def list_dicom_pixel_cases() -> Iterator[Case]:
    """List all cases of this family."""
    yield from _lengths()
    yield from _syntaxes()
    yield from _damaged()
    yield from _bombs()


def _lengths() -> Iterator[Case]:
    size = 2 * 120 * 120
    for name, change in {
        "2 bytes longer": lambda pixels: pixels + bytes(2),
        "twice as long": lambda pixels: pixels + pixels,
        "30 MB longer": lambda pixels: pixels + bytes(2_000_000),
        "an odd byte longer": lambda pixels: pixels + b"\0",
    }.items():
        yield _FAMILY.handled(name, partial(write_series, edit=partial(_with_pixels, change)))
    for name, count in {"2 bytes shorter": size - 2, "half": size // 2, "one pixel": 2}.items():
        yield _FAMILY.refused(name, partial(write_series, edit=partial(_with_pixels, partial(_first, count))))
    yield _FAMILY.handled(
        "twice as long in one slice", partial(write_series, edit=partial(_with_pixels, _twice), only=(7,))
    )
    yield _FAMILY.handled("a stated length of 4 GB", partial(_rewritten, _stated_length))
    yield _FAMILY.refused("no end of items", partial(_rewritten, partial(_stated_length, length=0xFFFFFFFF)))


def _with_pixels(change: Callable[[bytes], bytes], dataset: Dataset, _number: int) -> None:
    dataset.PixelData = change(dataset.PixelData)


def _first(count: int, pixels: bytes) -> bytes:
    return pixels[:count]


def _twice(pixels: bytes) -> bytes:
    return pixels + pixels


def _stated_length(content: bytes, length: int = 0xFFFFFFFE) -> bytes:
    at = find_pixel_data(content) + 8
    return content[:at] + struct.pack("<I", length) + content[at + 4 :]


def _rewritten(change: Callable[[bytes], bytes], site: Workspace) -> Path:
    for number, content in enumerate(make_base_series()):
        site.put(f"series/{number}", change(content))
    return site.scans / "series"


def _syntaxes() -> Iterator[Case]:
    """Honest pixels in other encodings, and encodings that are none."""
    for name, uid in {"implicit": _SYNTAX, "deflated": f"{_SYNTAX}.1.99"}.items():
        yield _FAMILY.alike(f"honest, {name}", partial(write_series, edit=partial(_declare, uid)))
    yield _FAMILY.alike("honest, big endian", _big_endian)
    for name, uid in {"RLE": _RLE, "JPEG-LS": _JPEG_LS, "JPEG 2000": _JPEG_2000}.items():
        yield _FAMILY.alike(f"honest, {name}", partial(write_series, edit=partial(_compress, uid)))
    for name, uid in {
        "unknown": f"{PATIENT_UID}.7",
        "no number": "Zweistein",
        "empty": "",
        "retired": f"{_SYNTAX}.4.52",
    }.items():
        yield _FAMILY.handled(f"syntax {name}", partial(_relabelled, uid))
    for suffix in _ENCODED:
        uid = f"{_SYNTAX}.{suffix}"
        yield _FAMILY.refused(f"random bytes as {suffix}", partial(_random_fragments, uid))
        yield _FAMILY.refused(f"native pixels as {suffix}", partial(_relabelled, uid))


def _declare(uid: str, dataset: Dataset, _number: int) -> None:
    dataset.file_meta.TransferSyntaxUID = uid


def _big_endian(site: Workspace) -> Path:
    from pydicom import dcmwrite

    for number, content in enumerate(make_base_series()):
        dataset = to_dataset(content)
        for _ in dataset.iterall():  # reads every element, which is then written in the other order
            pass
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = f"{_SYNTAX}.2"
        stream = io.BytesIO()
        dcmwrite(stream, dataset, implicit_vr=False, little_endian=False, force_encoding=True)
        site.put(f"series/{number}", stream.getvalue())
    return site.scans / "series"


def _compress(uid: str, dataset: Dataset, _number: int) -> None:
    dataset.compress(uid, generate_instance_uid=False)


def _relabelled(uid: str, site: Workspace) -> Path:
    """The honest bytes with another transfer syntax in the file's meta information."""
    stated = f"{_SYNTAX}.1".encode() + b"\0"
    old = pack_element(0x0002, 0x0010, b"UI", stated)
    new = pack_element(0x0002, 0x0010, b"UI", uid.encode() + b"\0" * (len(uid) % 2))
    return _rewritten(lambda content: content.replace(old, new, 1), site)


def _random_fragments(uid: str, site: Workspace) -> Path:
    rng = site.rng()

    def edit(dataset: Dataset, _number: int) -> None:
        from pydicom.encaps import encapsulate

        dataset.PixelData = encapsulate([rng.bytes(5000)])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = uid

    return write_series(site, edit)


def _damaged() -> Iterator[Case]:
    """Compressed pixels with one thing changed in the stream."""
    for name, uid in {"RLE": _RLE, "JPEG-LS": _JPEG_LS, "JPEG 2000": _JPEG_2000}.items():
        for place, share in {"first bytes": 0.0, "a quarter": 0.25, "half": 0.5}.items():
            yield _FAMILY.handled(f"{name} damaged: {place}", _fragment(uid, partial(_flipped, share)))
        for place, share in {"nothing": 0.0, "a tenth": 0.1, "half": 0.5}.items():
            yield _FAMILY.refused(f"{name} cut off: {place} left", _fragment(uid, partial(_shortened, share)))
        yield _FAMILY.handled(f"{name} in one slice damaged", _fragment(uid, partial(_flipped, 0.5), only=(7,)))
    yield _FAMILY.refused("RLE with 99 segments", _fragment(_RLE, partial(_patched, 0, struct.pack("<I", 99))))
    yield _FAMILY.refused("RLE with a segment at 4 GB", _fragment(_RLE, partial(_patched, 8, b"\xff\xff\xff\xff")))
    large = struct.pack(">II", 60000, 60000)
    yield _FAMILY.refused("JPEG 2000 of 60000 x 60000", _fragment(_JPEG_2000, partial(_patched, 8, large)))
    yield _FAMILY.refused("JPEG-LS of 65535 x 65535", _fragment(_JPEG_LS, _wide_jpeg_ls))


def _fragment(uid: str, change: Callable[[bytes], bytes], only: tuple[int, ...] | None = None) -> Prepare:
    def edit(dataset: Dataset, _number: int) -> None:
        from pydicom.encaps import encapsulate, get_frame

        dataset.compress(uid, generate_instance_uid=False)
        dataset.PixelData = encapsulate([change(get_frame(dataset.PixelData, 0, number_of_frames=1))])

    return partial(write_series, edit=edit, only=only)


def _flipped(share: float, stream: bytes) -> bytes:
    at = int(share * len(stream))
    return stream[:at] + bytes(byte ^ 0xA5 for byte in stream[at : at + 40]) + stream[at + 40 :]


def _shortened(share: float, stream: bytes) -> bytes:
    return stream[: int(share * len(stream))] or b"\0\0"


def _patched(at: int, value: bytes, stream: bytes) -> bytes:
    return stream[:at] + value + stream[at + len(value) :]


def _wide_jpeg_ls(stream: bytes) -> bytes:
    return _patched(stream.index(b"\xff\xf7") + 5, b"\xff" * 4, stream)


def _bombs() -> Iterator[Case]:
    yield _FAMILY.refused("deflated, 4 GB of zeros for pixels", partial(_deflated_bomb, 65535, 4 * _GB - 2))
    yield _FAMILY.refused("deflated, 20 GB of zeros behind honest pixels", partial(_deflated_bomb, 120, 20 * _GB))
    yield _FAMILY.refused("deflated, cut off", partial(_rewritten, lambda content: _deflated(content)[:-5000]))
    yield _FAMILY.refused("deflated, damaged", partial(_rewritten, lambda content: _flipped(0.5, _deflated(content))))
    yield _FAMILY.refused("65535 x 65535 pixels, all of them a hole", _hole)
    yield _FAMILY.refused("RLE runs for 65535 x 65535 pixels", _rle_bomb)
    yield _FAMILY.handled("a hole of 3 GB in a private element", partial(_sparse_element, 3 * _GB))


def _deflated(content: bytes) -> bytes:
    dataset = to_dataset(content)
    _declare(f"{_SYNTAX}.1.99", dataset, 0)
    return to_bytes(dataset)


def _deflated_bomb(rows: int, zeros: int, site: Workspace) -> Path:
    """One file whose data set is deflated: honest elements, and pixels that go on."""
    dataset = to_dataset(make_base_series()[0])
    dataset.Rows = dataset.Columns = rows
    content = _deflated(to_bytes(dataset))
    start = 144 + struct.unpack_from("<I", content, 140)[0]  # PS3.10, table 7.1-1
    plain = zlib.decompress(content[start:], -15)
    pixels = pack_element(0x7FE0, 0x0010, b"OW", b"", min(zeros, 2 * rows * rows))
    return site.put("bomb", content[:start] + b"".join(deflate_zeros(plain[: find_pixel_data(plain)] + pixels, zeros)))


def _hole(site: Workspace) -> Path:
    """One file of 8 GB that takes no space; its length is more than an element can state, so it states the most."""
    dataset = to_dataset(make_base_series()[0])
    dataset.Rows, dataset.Columns = 32767, 65535
    plain = to_bytes(dataset)
    head = plain[: find_pixel_data(plain)] + pack_element(0x7FE0, 0x0010, b"OW", b"", 2 * 32767 * 65535)
    return write_sparse_file(site.scans / "hole", head, len(head) + 2 * 32767 * 65535)


def _rle_bomb(site: Workspace) -> Path:
    """Runs of 128 equal bytes in two: 67 MB would hold a whole frame, so this one holds a twentieth of it."""
    from pydicom.encaps import encapsulate

    runs = b"\x81\0" * 1_500_000
    header = struct.pack("<16I", 2, 64, 64 + len(runs), *[0] * 13)
    dataset = to_dataset(make_base_series()[0])
    dataset.Rows = dataset.Columns = 65535
    dataset.PixelData = encapsulate([header + runs + runs])
    dataset["PixelData"].is_undefined_length = True
    _declare(_RLE, dataset, 0)
    return site.put("bomb", to_bytes(dataset))


def _sparse_element(size: int, site: Workspace) -> Path:
    """The honest series, one of its files with a private element that is a hole."""
    folder = _rewritten(bytes, site)
    content = make_base_series()[3]
    at = find_pixel_data(content)
    head = (
        content[:at] + pack_element(0x0071, 0x0010, b"LO", b"SPONDYL") + pack_element(0x0071, 0x1001, b"OB", b"", size)
    )
    write_sparse_file(folder / "3", head, len(head) + size + len(content) - at, content[at:])
    return folder
