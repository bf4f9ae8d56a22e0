"""DICOM files and series: cut off, without a preamble, with elements that lie, and in heaps of all kinds."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from spondyl.benches.hostile.base import (
    PATIENT,
    PATIENT_UID,
    Dataset,
    make_base_series,
    make_base_voxels,
    put_raw,
    to_bytes,
    to_dataset,
    write_series,
)
from spondyl.benches.hostile.case import DONE, EMPTY, REFUSED, Call, Case, Family, Prepare, Workspace
from spondyl.benches.hostile.dicom.damage import insert_elements, make_enhanced, make_honest_enhanced, pack_element

__all__ = ["list_dicom_file_cases"]

_FILE = Family("DICOM file")
_SERIES = Family("DICOM series")
_FRAMES = Family("DICOM frames")
_MIDDLE = 7
_MANY = 12_000


def list_dicom_file_cases() -> Iterator[Case]:
    """List all cases of single files, of series and of objects of many frames."""
    yield from _cut_off()
    yield from _unusual_elements()
    yield from _series()
    yield from _objects()
    yield from _frames()


def _each(change: Callable[[bytes], bytes], only: tuple[int, ...] | None = None) -> Prepare:
    """The base series, its files' bytes changed."""

    def prepare(site: Workspace) -> Path:
        for number, content in enumerate(make_base_series()):
            site.put(f"series/{number}", change(content) if only is None or number in only else content)
        return site.scans / "series"

    return prepare


def _first(count: int, content: bytes) -> bytes:
    return content[:count]


def _cut_off() -> Iterator[Case]:
    size = len(make_base_series()[0])
    for count in (0, 1, 100, 128, 131, 132, 133, 140, 200, 300, 500, 1000, size // 2, size - 1):
        yield _FILE.refused(f"every file cut off after {count} bytes", _each(partial(_first, count)))
    for count in (0, 132, 140, 300, 1000, size // 2, size - 1):
        yield _FILE.handled(f"one file cut off after {count} bytes", _each(partial(_first, count), (_MIDDLE,)))
    yield _FILE.handled("no preamble", _each(lambda content: content[132:]))
    yield _FILE.handled("no preamble and no meta information", _each(_without_meta))
    yield _FILE.alike(
        "a preamble of rubbish", _each(lambda content: PATIENT.encode().ljust(128, b"\xff") + content[128:])
    )
    yield _FILE.handled("bytes behind the pixels", _each(lambda content: content + b"\xff" * 1001))
    yield _FILE.refused("the prefix and nothing else", _each(lambda _: bytes(128) + b"DICM"))
    yield _FILE.refused(
        "random bytes behind the prefix",
        lambda site: site.put("x", bytes(128) + b"DICM" + site.rng().bytes(90_000)),
    )
    for number in range(6):
        yield _FILE.handled(f"random bytes in every header {number}", _scattered)


def _without_meta(content: bytes) -> bytes:
    return content[144 + struct.unpack_from("<I", content, 140)[0] :]


def _scattered(site: Workspace) -> Path:
    rng = site.rng()

    def change(content: bytes) -> bytes:
        damaged = bytearray(content)
        for at in rng.integers(132, 1200, 8):
            damaged[at] = rng.integers(256)
        return bytes(damaged)

    return Path(_each(change)(site))


def _unusual_elements() -> Iterator[Case]:
    """Elements of odd lengths and depths before honest pixels."""
    private = pack_element(0x0071, 0x0010, b"LO", b"SPONDYL")
    for name, extra in {
        "a private element of 3 MB": private + pack_element(0x0071, 0x1001, b"OB", bytes(3_000_000)),
        "a private element that states 4 GB": private + pack_element(0x0071, 0x1001, b"OB", b"", 0xFFFFFFFE),
        "a private element without end": private + pack_element(0x0071, 0x1001, b"OB", b"", 0xFFFFFFFF),
        "an unknown element without end": private + pack_element(0x0071, 0x1001, b"UN", b"", 0xFFFFFFFF),
        "a sequence without end": pack_element(0x0040, 0xA730, b"SQ", b"", 0xFFFFFFFF),
        "a text that states 65535 bytes": pack_element(0x0040, 0x0254, b"LO", b"x", 65535),
        "an unknown representation": pack_element(0x0040, 0x0254, b"ZZ", b"Zweistein"),
        "a text of 4 million values": pack_element(0x0040, 0x0255, b"UT", b"1\\" * 2_000_000),
        "30,000 elements": b"".join(pack_element(0x0073, 0x1000 + n, b"LO", b"Albertine") for n in range(30_000)),
    }.items():
        yield _FILE.handled(name, _each(partial(insert_elements, elements=extra), (_MIDDLE,)))
    for depth in (30, 1000, 100_000):
        yield _FILE.handled(
            f"sequences {depth} deep", _each(partial(insert_elements, elements=_nested(depth)), (_MIDDLE,))
        )
    yield _FILE.handled("sequences 1000 deep in every file", _each(partial(insert_elements, elements=_nested(1000))))


def _nested(depth: int) -> bytes:
    """Sequences in each other, none of which states its length."""
    opening = pack_element(0x0040, 0xA730, b"SQ", b"", 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    closing = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return opening * depth + closing * depth


def _series() -> Iterator[Case]:
    """Slices that are missing, repeated, shifted, of other kinds, and in heaps."""
    found = Call(statuses=(DONE,))
    for name, numbers in {"one": (_MIDDLE,), "three": (3, 7, 11), "every second": range(1, 15, 2)}.items():
        yield _SERIES.case(f"slices missing: {name}", partial(_without, numbers), found)
    yield _SERIES.handled("one slice alone", partial(_without, [n for n in range(15) if n != _MIDDLE]))
    yield _SERIES.handled("two slices", partial(_without, range(2, 15)))
    yield _SERIES.alike("every slice twice, in two folders", _twice)
    yield _SERIES.case("a tilted gantry", partial(write_series, edit=_tilt), found)
    yield _SERIES.refused("localisers alone", partial(write_series, edit=_as_localiser))
    yield _SERIES.handled("every slice at one place", partial(write_series, edit=_at_one_place))
    yield _SERIES.refused("slices 1000 mm apart", partial(write_series, edit=partial(_apart, 1000.0)))
    yield _SERIES.handled("slices 0.001 mm apart", partial(write_series, edit=partial(_apart, 0.001)))
    yield _SERIES.refused("positions at 1e9 mm", partial(write_series, edit=partial(_moved, 1e9)))
    yield _SERIES.handled("uneven distances", partial(write_series, edit=_uneven))
    yield _SERIES.handled("a series of its own for every slice", partial(write_series, edit=_own_series))
    yield _SERIES.handled("another direction in every slice", partial(write_series, edit=_turned))
    yield _SERIES.refused("CT", partial(write_series, edit=_as_ct))
    yield _SERIES.refused("CT, called MR", partial(write_series, edit=_as_ct), "--modality", "mr")
    yield _SERIES.refused("MR, called CT", write_series, "--modality", "ct")
    for count in (4000, 20_000):
        yield _SERIES.alike(f"{count} small files beside it", partial(_beside, _small_files(count)))
    yield _SERIES.alike(
        "a directory file, a report and a picture in colour beside it", partial(_beside, _other_objects)
    )
    yield _SERIES.alike("a damaged file of another series beside it", partial(_beside, _damaged_file))
    yield _SERIES.handled("a second patient beside it", partial(_beside, _second_patient))
    yield _SERIES.handled("3000 images of another series beside it", partial(_beside, _long_series))


def _without(numbers: Sequence[int], site: Workspace) -> Path:
    for number, content in enumerate(make_base_series()):
        if number not in numbers:
            site.put(f"series/{number}", content)
    return site.scans / "series"


def _twice(site: Workspace) -> Path:
    write_series(site, folder="series/a")
    return write_series(site, folder="series/b").parent


def _position(dataset: Dataset, change_mm: tuple[float, float, float]) -> None:
    moved = np.add([float(mm) for mm in dataset.ImagePositionPatient], change_mm)
    put_raw(dataset, "ImagePositionPatient", "\\".join(f"{mm:.10g}" for mm in moved).encode())


def _tilt(dataset: Dataset, number: int) -> None:
    _position(dataset, (0, 0.3 * number, 0))


def _as_localiser(dataset: Dataset, _number: int) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]


def _at_one_place(dataset: Dataset, _number: int) -> None:
    put_raw(dataset, "ImagePositionPatient", rb"0\-140\140")


def _apart(step_mm: float, dataset: Dataset, number: int) -> None:
    put_raw(dataset, "ImagePositionPatient", f"{step_mm * number:g}\\-140\\140".encode())


def _moved(distance_mm: float, dataset: Dataset, _number: int) -> None:
    _position(dataset, (distance_mm, distance_mm, distance_mm))


def _uneven(dataset: Dataset, number: int) -> None:
    _position(dataset, (0.11 * number**2, 0, 0))


def _own_series(dataset: Dataset, number: int) -> None:
    dataset.SeriesInstanceUID = f"{PATIENT_UID}.5.{number}"


def _turned(dataset: Dataset, number: int) -> None:
    angle = np.radians(4 * number)
    row = (f"{np.sin(angle):.6f}", f"{np.cos(angle):.6f}", "0")
    put_raw(dataset, "ImageOrientationPatient", "\\".join((*row, "0", "0", "-1")).encode())


def _as_ct(dataset: Dataset, _number: int) -> None:
    dataset.Modality, dataset.SOPClassUID = "CT", "1.2.840.10008.5.1.4.1.1.2"


def _beside(add: Callable[[Workspace], None], site: Workspace) -> Path:
    add(site)
    return write_series(site)


def _small_files(count: int) -> Callable[[Workspace], None]:
    def add(site: Workspace) -> None:
        for number in range(count):
            site.put(f"series/notes/{number % 50}/{PATIENT}{number}.txt", b"note")

    return add


def _other_objects(site: Workspace) -> None:
    for name, storage in {"DICOMDIR": "1.2.840.10008.1.3.10", "report": "1.2.840.10008.5.1.4.1.1.88.11"}.items():
        dataset = to_dataset(make_base_series()[0])
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = storage
        for keyword in ("PixelData", "Rows", "Columns", "ImagePositionPatient", "Modality"):
            del dataset[keyword]
        site.put(f"series/{name}", to_bytes(dataset))
    dataset = to_dataset(make_base_series()[0])
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    dataset.PixelData *= 3
    site.put("series/colour", to_bytes(dataset))


def _damaged_file(site: Workspace) -> None:
    dataset = to_dataset(make_base_series()[0])
    dataset.SeriesInstanceUID = f"{PATIENT_UID}.6"
    site.put("series/a/damaged", to_bytes(dataset)[:700])


def _second_patient(site: Workspace) -> None:
    for number, content in enumerate(make_base_series()):
        dataset = to_dataset(content)
        dataset.PatientName, dataset.PatientID = "Zweistein^Benedikt", "PID-4711-0816"
        dataset.SeriesInstanceUID, dataset.StudyInstanceUID = f"{PATIENT_UID}.8", f"{PATIENT_UID}.9"
        site.put(f"series/other/{number}", to_bytes(dataset))


def _long_series(site: Workspace) -> None:
    dataset = to_dataset(make_base_series()[0])
    dataset.SeriesInstanceUID, dataset.Rows, dataset.Columns = f"{PATIENT_UID}.8", 8, 8
    dataset.PixelData = bytes(128)
    content = to_bytes(dataset)
    for number in range(3000):
        site.put(f"series/long/{number}", content)


def _objects() -> Iterator[Case]:
    """Single files that are no scan."""
    for name, edit in {
        "a report": lambda d, _: d.__delitem__("PixelData"),
        "no position": lambda d, _: d.__delitem__("ImagePositionPatient"),
    }.items():
        yield _FILE.refused(f"one file: {name}", _single(edit))
    yield _FILE.handled("one file: an honest slice", _single(lambda _d, _n: None))


def _single(edit: Callable[[Dataset, int], None]) -> Prepare:
    def prepare(site: Workspace) -> Path:
        dataset = to_dataset(make_base_series()[_MIDDLE])
        edit(dataset, _MIDDLE)
        return site.put(f"{PATIENT}.dcm", to_bytes(dataset))

    return prepare


def _frames() -> Iterator[Case]:
    """Enhanced objects: the honest one, with wrong counts, and with very many frames."""
    yield _FRAMES.alike("as it is", lambda site: site.put("scan.dcm", make_honest_enhanced()))
    for count in (b"1", b"14", b"16", b"99999", b"-1", b"x"):
        yield _FRAMES.handled(f"15 frames, stated as {count.decode()}", partial(_stated_frames, count))
    yield _FRAMES.refused("no groups for its frames", _without_groups)
    yield _FRAMES.refused(
        "half of the pixels",
        lambda site: site.put("scan.dcm", make_honest_enhanced()[: -len(make_base_voxels().tobytes()) // 2]),
    )
    many = Call(statuses=(DONE, REFUSED, EMPTY))
    yield _FRAMES.case(f"{_MANY} frames, 0.02 mm apart", partial(_many, lambda n: (0.02 * n, 0, 0), lambda _: 1), many)
    yield _FRAMES.case(
        f"{_MANY} frames, 15 places", partial(_many, lambda n: (4.0 * (n % 15), 0, 0), lambda n: n // 15 + 1), many
    )
    yield _FRAMES.case(f"{_MANY} frames, one place", partial(_many, lambda _: (0, 0, 0), lambda n: n + 1), many)
    yield _FRAMES.case(
        f"{_MANY} frames at random",
        partial(_many, lambda n: (n * 7919 % 12007 * 0.3, n % 97, n % 89), lambda _: 1),
        many,
    )


def _stated_frames(count: bytes, site: Workspace) -> Path:
    dataset = to_dataset(make_honest_enhanced())
    put_raw(dataset, "NumberOfFrames", count)
    return site.put("scan.dcm", to_bytes(dataset))


def _without_groups(site: Workspace) -> Path:
    dataset = to_dataset(make_honest_enhanced())
    del dataset.PerFrameFunctionalGroupsSequence
    return site.put("scan.dcm", to_bytes(dataset))


def _many(position_mm: Callable[[int], tuple[float, ...]], time: Callable[[int], int], site: Workspace) -> Path:
    pixels = site.rng().integers(0, 900, (_MANY, 24, 24), dtype=np.uint16)
    return site.put("scan.dcm", make_enhanced(pixels, position_mm, time))
