"""NIfTI files: cut off, too long, packed and packed again, damaged, and larger than they seem."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from spondyl.benches.hostile.base import PATIENT, make_base_affine, make_base_voxels
from spondyl.benches.hostile.bombs import make_gzip_bomb, write_sparse_file
from spondyl.benches.hostile.case import Case, Family, Prepare, Workspace
from spondyl.benches.hostile.nifti.damage import DATA_AT, NAME, make_base_nifti, make_nifti, pack_dim, patch_header

__all__ = ["list_nifti_file_cases"]

_FILE = Family("NIfTI file")
_GZIP = Family("gzip")
_GB = 10**9


def list_nifti_file_cases() -> Iterator[Case]:
    """List all cases of plain and of packed files."""
    yield from _lengths()
    yield from _shapes()
    yield from _sparse()
    yield from _pairs()
    yield from _packed()
    yield from _damaged()
    yield from _gzip_bombs()


def _content(content: bytes, name: str = NAME) -> Prepare:
    return lambda site: site.put(name, content)


def _lengths() -> Iterator[Case]:
    size = len(make_base_nifti())
    for count in (0, 1, 2, 100, 343, 347, 348, 351, DATA_AT, size // 2, size - 1):
        yield _FILE.refused(f"cut off after {count} bytes", partial(_cut, count))
    for extra in (1, 1000, 30_000_000):
        yield _FILE.handled(f"{extra} bytes behind the voxels", partial(_longer, extra))
    for name in (f"{PATIENT}.dcm", f"{PATIENT}.zip", f"{PATIENT}.mha", "nii", PATIENT):
        yield _FILE.alike(f"named {name.replace(PATIENT, '*')}", partial(_renamed, name))
    yield _FILE.refused("a text", _content(f"This is no scan of {PATIENT}.\n".encode()))
    yield _FILE.refused("random bytes", lambda site: site.put(NAME, site.rng().bytes(100_000)))


def _cut(count: int, site: Workspace) -> Path:
    return site.put(NAME, make_base_nifti()[:count])


def _longer(extra: int, site: Workspace) -> Path:
    return site.put(NAME, make_base_nifti() + bytes(extra))


def _renamed(name: str, site: Workspace) -> Path:
    return site.put(name, make_base_nifti())


def _shapes() -> Iterator[Case]:
    size = make_base_voxels().shape
    for name, shape in {"four dimensions": (*size, 2), "five": (*size, 1, 2), "seven": (*size, 2, 1, 1, 1)}.items():
        yield _FILE.alike(f"{name}, two frames", partial(_frames, shape))
    yield _FILE.refused("2000 frames declared, one there", partial(_declared, (*size, 2000)))
    yield _FILE.handled("time first: one voxel, many frames", partial(_declared, (1, 1, 1, 27000)))
    yield _FILE.refused("9.9e8 voxels declared, 216000 there", partial(_declared, (999, 999, 991)))
    yield _FILE.refused("2.7e10 voxels declared", partial(_declared, (3000, 3000, 3000)))


def _frames(shape: tuple[int, ...], site: Workspace) -> Path:
    content = make_base_nifti()
    return site.put(NAME, patch_header(content + content[DATA_AT:], dim=pack_dim(*shape)))


def _declared(shape: tuple[int, ...], site: Workspace) -> Path:
    return site.put(NAME, patch_header(make_base_nifti(), dim=pack_dim(*shape)))


def _sparse() -> Iterator[Case]:
    """Files with holes: what they hold is nothing, however long they are."""
    yield _FILE.refused("a hole of 100 GB behind the voxels", partial(_hole, make_base_voxels().shape, 100 * _GB))
    yield _FILE.refused("1.9 GB of voxels, all of them a hole", partial(_hole, (981, 981, 981), 2 * _GB))
    yield _FILE.refused(
        "a hole of 100 GB and nothing else", lambda site: write_sparse_file(site.scans / NAME, b"", 100 * _GB)
    )


def _hole(shape: tuple[int, ...], size: int, site: Workspace) -> Path:
    return write_sparse_file(site.scans / NAME, patch_header(make_base_nifti(), dim=pack_dim(*shape)), size)


def _pairs() -> Iterator[Case]:
    yield _FILE.refused("two files, the header given", lambda site: _pair(site)[0])
    yield _FILE.refused("two files, the voxels given", lambda site: _pair(site)[1])
    yield _FILE.handled("two files, their folder given", lambda site: _pair(site)[0].parent)
    yield _FILE.refused("two files, the voxels missing", lambda site: _alone(_pair(site)))


def _pair(site: Workspace) -> tuple[Path, Path]:
    content = make_base_nifti()
    header = site.put("pair/scan.hdr", patch_header(content[:348], magic=b"ni1\0", vox_offset=0.0))
    return header, site.put("pair/scan.img", content[DATA_AT:])


def _alone(pair: tuple[Path, Path]) -> Path:
    pair[1].unlink()
    return pair[0]


def _packed() -> Iterator[Case]:
    """Honest scans in all ways of packing that gzip allows."""
    content, packed = make_base_nifti(), gzip.compress(make_base_nifti(), 1)
    half = len(content) // 2
    yield _GZIP.alike("as it is", _content(packed))
    yield _GZIP.alike("two members", _content(gzip.compress(content[:half], 1) + gzip.compress(content[half:], 1)))
    yield _GZIP.alike(
        "a member for the first hundred bytes", _content(gzip.compress(content[:100]) + gzip.compress(content[100:], 1))
    )
    yield _GZIP.alike("zeros behind it", _content(packed + bytes(512)))
    yield _GZIP.alike("named after the patient within", _content(_with_name(content)))
    yield _GZIP.handled("gzip in gzip", _content(gzip.compress(packed, 1)))
    yield _GZIP.refused("a text", _content(gzip.compress(f"no scan of {PATIENT}".encode())))
    yield _GZIP.refused("nothing", _content(gzip.compress(b"")))
    yield _GZIP.handled("20,000 empty members before it", _content(gzip.compress(b"", mtime=0) * 20_000 + packed))


def _with_name(content: bytes) -> bytes:
    stream = io.BytesIO()
    with gzip.GzipFile(filename=f"{PATIENT}.nii", mode="wb", fileobj=stream, compresslevel=1) as packer:
        packer.write(content)
    return stream.getvalue()


def _damaged() -> Iterator[Case]:
    packed = gzip.compress(make_base_nifti(), 1)
    size = len(packed)
    for count in (1, 2, 9, 10, 100, size // 4, size // 2, size - 9, size - 4, size - 1):
        yield _GZIP.refused(f"cut off after {count} bytes", _content(packed[:count]))
    for name, at in {"header": 2, "flags": 3, "first block": 12, "middle": size // 2, "checksum": size - 8}.items():
        yield _GZIP.refused(f"damaged: {name}", _content(packed[:at] + bytes([packed[at] ^ 0xE5]) + packed[at + 1 :]))
    yield _GZIP.refused("damaged: length", _content(packed[:-4] + b"\1\2\3\4"))
    yield _GZIP.handled("a text behind it", _content(packed + f"{PATIENT}\n".encode()))


def _gzip_bombs() -> Iterator[Case]:
    honest = make_base_nifti()
    yield _GZIP.refused(
        "20 GB of zeros behind the voxels", lambda site: site.put(NAME, make_gzip_bomb(honest, 20 * _GB))
    )
    yield _GZIP.refused("20 GB of zeros alone", lambda site: site.put(NAME, make_gzip_bomb(b"", 20 * _GB)))
    yield _GZIP.refused("9.4e8 voxels of zeros", lambda site: _declared_bomb(site, (981, 981, 981)))
    yield _GZIP.refused("frames of zeros, 8 GB", lambda site: _declared_bomb(site, (*make_base_voxels().shape, 4000)))
    yield _GZIP.refused("an extension of 2 GB", _extension_bomb)
    yield _GZIP.refused(
        "20 GB of zeros, packed twice",
        lambda site: site.put(NAME, gzip.compress(make_gzip_bomb(honest, 20 * _GB))),
    )
    yield _GZIP.handled("a million voxels of float noise", _noise)


def _declared_bomb(site: Workspace, shape: tuple[int, ...]) -> Path:
    head = patch_header(make_base_nifti()[:DATA_AT], dim=pack_dim(*shape))
    return site.put(NAME, make_gzip_bomb(head, 2 * int(np.prod(shape))))


def _extension_bomb(site: Workspace) -> Path:
    head = patch_header(make_base_nifti()[:DATA_AT], vox_offset=2e9, extension=b"\1\0\0\0")
    return site.put(NAME, make_gzip_bomb(head, 2 * _GB + 10**6))


def _noise(site: Workspace) -> Path:
    voxels = site.rng().normal(size=(16, 250, 250)).astype(np.float32)
    return site.put(NAME, gzip.compress(make_nifti(voxels, make_base_affine()), 1))
