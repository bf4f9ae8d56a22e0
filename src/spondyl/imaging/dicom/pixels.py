"""Decoding of the stored pixels of DICOM frames to real values.

Frames are read and decoded one at a time, after their size has been compared with what the header states.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from spondyl.errors import InputError
from spondyl.imaging.archive import Member
from spondyl.imaging.dicom.encoded import max_encoded_bytes, require_claimed_size
from spondyl.imaging.dicom.frames import Frame
from spondyl.imaging.dicom.stream import BoundedStream, bounded_header, open_dicom
from spondyl.imaging.quiet import silence_decoders
from spondyl.types import Float32

__all__ = ["read_pixels"]

Image = NDArray[Any]

_KEYWORDS = (
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)
_PIXEL_ELEMENTS = {0x0008: "FloatPixelData", 0x0009: "DoubleFloatPixelData", 0x0010: "PixelData"}
_PLUGINS = ("pylibjpeg", "pyjpegls", "pydicom")
"""The preferred decoders; GDCM crashes on some damaged files and is used only where no other one decodes them."""

_WRONG_SIZE = "the pixels of a DICOM file do not have the size that its header states"


def read_pixels(members: Sequence[Member], frames: Sequence[Frame]) -> Float32:
    """Decode frames in the order given.

    Args:
        members: the files, as the frames number them.
        frames: all of one shape.

    Returns:
        Rescaled values, (frame, row, column).

    Raises:
        InputError: a transfer syntax that cannot be decoded, or pixels that are damaged or missing.
    """
    images = np.empty((len(frames), *frames[0].shape), dtype=np.float32)
    places: dict[int, dict[int, int]] = {}
    for place, frame in enumerate(frames):
        places.setdefault(frame.member, {})[frame.index] = place
    for number, places_by_index in places.items():
        with open_dicom(members[number]) as stream, _pydicom_errors():
            for index, image in _decode_images(stream, sorted(places_by_index)):
                place = places_by_index[index]
                images[place] = _rescale(image, frames[place])
    if frames[0].is_inverted and frames[0].modality != "CT":  # the rescaled value of CT is HU, however it is shown
        np.subtract(images.min() + images.max(), images, out=images)
    return images


@contextmanager
def _pydicom_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote values
        try:
            yield
        except InputError:
            raise
        except MemoryError as error:
            raise InputError("the pixels of the DICOM files do not fit into memory") from error
        except Exception as error:  # each decoder raises its own kinds
            raise InputError("the pixels of a DICOM file are damaged, truncated or missing") from error


def _rescale(image: Image, frame: Frame) -> Image:
    if image.shape != frame.shape:
        raise InputError(_WRONG_SIZE)
    slope, intercept = frame.rescale
    with np.errstate(over="ignore", invalid="ignore"):  # overflow becomes infinite, which Volume refuses
        return (image * slope + intercept).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pixels:
    """The storage of the pixels of a file.

    Args:
        syntax: the transfer syntax.
        options: for pydicom's decoders.
        length: the stated length of the pixel element.
        bits: allocated and significant ones of a pixel, and whether these are signed.
    """

    syntax: Any
    options: Mapping[str, Any]
    length: int
    bits: tuple[int, int, bool]

    @property
    def frames(self) -> int:
        """The stated number of frames."""
        return int(self.options["number_of_frames"])

    @property
    def frame_bytes(self) -> int:
        """The length of a frame before compression."""
        return int(self.options["rows"]) * int(self.options["columns"]) * self.bits[0] // 8


def _decode_images(stream: BinaryIO, indices: Sequence[int]) -> Iterator[tuple[int, Image]]:
    """Yield frames of a file with their indices, in the order of the file, which `indices` must have."""
    pixels = _find_pixels(stream)
    decode = _encapsulated if pixels.syntax.is_encapsulated else _native
    missing = len(indices)
    for index, image in decode(stream, pixels, indices):
        missing -= 1
        yield index, _keep_significant_bits(image, pixels)
    if missing:
        raise EOFError


def _find_pixels(stream: BinaryIO) -> _Pixels:
    """Read the header and go to the first byte of the pixel data."""
    from pydicom import dcmread
    from pydicom.pixels.utils import as_pixel_options

    header = dcmread(bounded_header(stream), force=True, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
    syntax = _decodable_syntax(header)
    is_implicit, is_little = header.original_encoding
    order, head = "<" if is_little else ">", stream.read(8)
    group, element = struct.unpack(f"{order}HH", head[:4])
    (length,) = struct.unpack(f"{order}L", head[4:] if is_implicit else stream.read(4))
    if group != 0x7FE0:
        raise EOFError
    options = as_pixel_options(header, pixel_keyword=_PIXEL_ELEMENTS[element])
    options["transfer_syntax_uid"] = syntax
    if not is_implicit:
        options["pixel_vr"] = head[4:6].decode("ascii")
    bits = (int(header.BitsAllocated), int(header.get("BitsStored") or 0), header.get("PixelRepresentation") == 1)
    return _Pixels(syntax=syntax, options=options, length=length, bits=bits)


def _decodable_syntax(header: Any) -> Any:
    """Return the transfer syntax; where none is stated, the one in which the header was read."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        is_implicit, _ = header.original_encoding
        return ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian
    try:
        is_available = get_decoder(syntax).is_available
    except NotImplementedError:
        is_available = False
    if not is_available:
        is_unknown = str(syntax.name) == str(syntax)  # pydicom has no name for it
        name = "a private or unknown one" if is_unknown else syntax.name
        raise InputError(f"the transfer syntax of the DICOM files cannot be decoded: {name}")
    return syntax


def _native(stream: BinaryIO, pixels: _Pixels, indices: Sequence[int]) -> Iterator[tuple[int, Image]]:
    from pydicom.pixels.decoders.base import get_decoder

    padding_bytes = pixels.length - pixels.frames * pixels.frame_bytes
    if not 0 <= padding_bytes < max(pixels.frame_bytes, 2) or _is_data(stream, pixels.length, padding_bytes):
        raise InputError(_WRONG_SIZE)
    bounded = BoundedStream(stream, max_read_bytes=pixels.frame_bytes + 1, max_bytes=2 * pixels.length)
    images = get_decoder(pixels.syntax).iter_array(cast(BinaryIO, bounded), indices=indices, raw=True, **pixels.options)
    yield from zip(indices, (image for image, _ in images), strict=False)


def _is_data(stream: BinaryIO, length: int, padding_bytes: int) -> bool:
    """Tell whether the last bytes of the element that begins here are more than padding."""
    start = stream.tell()
    stream.seek(length - padding_bytes, io.SEEK_CUR)
    is_data = any(stream.read(padding_bytes))
    stream.seek(start)
    return is_data


def _encapsulated(stream: BinaryIO, pixels: _Pixels, indices: Sequence[int]) -> Iterator[tuple[int, Image]]:
    from pydicom.encaps import generate_frames

    max_frame = max_encoded_bytes(pixels.frame_bytes)
    offsets = 8 * pixels.frames  # of a table, and the heads of the fragments
    limits = {
        "max_read_bytes": max(max_frame, offsets),
        "max_bytes": pixels.frames * max_frame + 4 * offsets,
    }
    frames = generate_frames(
        cast(BinaryIO, BoundedStream(stream, **limits)),
        number_of_frames=pixels.frames,
        extended_offsets=pixels.options.get("extended_offsets"),
    )
    wanted = set(indices)
    for index, encoded in zip(range(indices[-1] + 1), frames, strict=False):
        if index in wanted:
            yield index, _decode(encoded, pixels)


def _decode(encoded: bytes, pixels: _Pixels) -> Image:
    """Decode one encoded frame."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    require_claimed_size(encoded, int(pixels.options["rows"]), int(pixels.options["columns"]), pixels.bits[0])
    options = dict(pixels.options) | {"number_of_frames": 1}
    options.pop("extended_offsets", None)
    content = encapsulate([encoded], has_bot=False)
    decoder = get_decoder(pixels.syntax)
    plugin = next((name for name in _PLUGINS if name in decoder.available_plugins), "")
    with silence_decoders():
        image, _ = decoder.as_array(content, index=0, raw=True, decoding_plugin=plugin, **options)
    return image


def _keep_significant_bits(image: Image, pixels: _Pixels) -> Image:
    """Keep the significant low bits, with their sign; old files store overlays above them."""
    allocated, stored, is_signed = pixels.bits
    if not 0 < stored < allocated or image.dtype.kind not in "iu":
        return image
    values = image & ((1 << stored) - 1)
    return values - ((values >> (stored - 1)) << stored) if is_signed else values
