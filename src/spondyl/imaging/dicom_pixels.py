"""Stored pixels of DICOM frames as real values; what cannot be decoded is refused in one sentence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spondyl.errors import InputError
from spondyl.imaging.archive import Member
from spondyl.imaging.dicom_frames import Frame


def read_pixels(members: Sequence[Member], frames: Sequence[Frame]) -> NDArray[np.float32]:
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
    places: dict[int, list[int]] = {}
    for place, frame in enumerate(frames):
        places.setdefault(frame.member, []).append(place)
    for member, wanted in places.items():
        stored = _decode(members[member], [frames[place].index for place in wanted])
        for place, image in zip(wanted, stored, strict=True):
            if image.shape != frames[place].shape:
                raise InputError("the pixels of a DICOM file do not have the size that its header states")
            slope, intercept = frames[place].rescale
            images[place] = image * slope + intercept
    if frames[0].is_inverted and frames[0].modality != "CT":  # the rescaled value of CT is HU, however it is shown
        images = images.min() + images.max() - images
    return images


def _decode(member: Member, indices: list[int]) -> Iterator[NDArray[Any]]:
    from pydicom import dcmread
    from pydicom.pixels.utils import iter_pixels

    with member.open() as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote values
        try:
            dataset = dcmread(stream, force=True)
            _require_decoder(dataset)
            is_multi_frame = int(dataset.get("NumberOfFrames") or 1) > 1
            for image in iter_pixels(dataset, indices=indices if is_multi_frame else None, raw=True):
                yield _significant_bits(image, dataset)
        except InputError:
            raise
        except MemoryError as error:
            raise InputError("the pixels of the DICOM files do not fit into memory") from error
        except Exception as error:  # each decoder raises its own kinds
            raise InputError("the pixels of a DICOM file are damaged, truncated or missing") from error


def _require_decoder(dataset: Any) -> None:
    """Refuse what cannot be decoded; where no transfer syntax is stated take the one that the header was read in."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        is_implicit, _ = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian
        return
    try:
        is_available = get_decoder(syntax).is_available
    except NotImplementedError:
        is_available = False
    if not is_available:
        name = "private" if syntax.is_private else syntax.name
        raise InputError(f"the transfer syntax of the DICOM files cannot be decoded: {name}")


def _significant_bits(image: NDArray[Any], dataset: Any) -> NDArray[Any]:
    """Keep the low `BitsStored` bits, with their sign; old files carry overlays above them."""
    stored, allocated = int(dataset.BitsStored), int(dataset.BitsAllocated)
    if not 0 < stored < allocated or image.dtype.kind not in "iu":
        return image
    values = image & ((1 << stored) - 1)
    return values - ((values >> (stored - 1)) << stored) if dataset.PixelRepresentation == 1 else values
