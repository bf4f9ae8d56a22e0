"""MetaImage files written byte by byte, their voxels the ramp's."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from scipy.spatial.transform import Rotation

from ramps import ramp

SIZE = (11, 9, 8)
SPACING = (3.0, 4.0, 4.5)
OFFSET = (-12.0, 30.0, -25.0)
TURN = Rotation.from_euler("xyz", (10, -12, 15), degrees=True).as_matrix()


def write_metaimage(
    path: Path, *, turn: Any = TURN, dtype: DTypeLike = "<f4", packed: bool = False, **changes: str
) -> Path:
    """A file that holds the ramp; column n of `turn` is the LPS direction of index axis n."""
    index = np.moveaxis(np.indices(SIZE), 0, -1)
    lps = (index * SPACING) @ np.asarray(turn).T + OFFSET
    raw = ramp(lps * (-1, -1, 1)).astype(dtype).tobytes(order="F")
    content = zlib.compress(raw) if packed else raw
    names = {"f4": "MET_FLOAT", "f8": "MET_DOUBLE", "i2": "MET_SHORT", "u2": "MET_USHORT", "i4": "MET_INT"}
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": str(np.dtype(dtype).str[0] == ">"),
        "CompressedData": str(packed),
        "TransformMatrix": " ".join(f"{cosine:.12g}" for cosine in np.asarray(turn).T.ravel()),
        "Offset": " ".join(map(str, OFFSET)),
        "ElementSpacing": " ".join(map(str, SPACING)),
        "DimSize": " ".join(map(str, SIZE)),
        "ElementType": names[np.dtype(dtype).str[1:]],
    } | changes
    header["ElementDataFile"] = changes.get("ElementDataFile", "LOCAL")
    text = "".join(f"{key} = {value}\n" for key, value in header.items() if value)
    path.write_bytes(text.encode() + content)
    return path
