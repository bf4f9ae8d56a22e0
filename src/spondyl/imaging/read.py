"""Reading of a file, folder, archive or upload as one `Volume`; the content decides its format, not the name."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum, auto
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from spondyl.errors import InputError
from spondyl.imaging.archive import Member, file_member, folder_members, number_members, open_zip
from spondyl.imaging.dicom.frames import is_dicom
from spondyl.imaging.metaimage import is_metaimage, read_metaimage
from spondyl.imaging.nifti import GZIP_MAGIC, is_nifti, read_nifti
from spondyl.imaging.own_output import find_own_output
from spondyl.imaging.stored import StoredImage
from spondyl.imaging.volume import Modality, Volume

__all__ = ["read_members", "read_volume"]

_HEAD_BYTES = 540  # the length of the longest header, that of NIfTI-2
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")


class _Kind(Enum):
    DICOM = auto()
    NIFTI = auto()
    METAIMAGE = auto()
    ZIP = auto()
    OTHER = auto()


_READERS: dict[_Kind, Callable[..., StoredImage]] = {_Kind.NIFTI: read_nifti, _Kind.METAIMAGE: read_metaimage}


def read_volume(path: Path, *, modality: Modality | None = None) -> Volume:
    """Read one scan: NIfTI, MetaImage (.mha), a DICOM file, a folder or a zip of any of these.

    Among several DICOM series the sagittal one that shows most of the spine is chosen; the others are listed in the
    warnings of the volume. Reports and truths that Spondyl wrote into the folder are ignored.

    Args:
        path: the file or folder.
        modality: MR or CT where the caller knows it; chooses among DICOM series, and replaces a guess elsewhere.

    Raises:
        InputError: nothing that can be read as one scan.
    """
    if _is_folder(path):
        return _read(folder_members(path), "folder", modality)
    return read_members([file_member(path)], modality)


def read_members(members: Sequence[Member], modality: Modality | None = None) -> Volume:
    """Read one scan from open files, as `read_volume` does from a folder or a file.

    Args:
        members: the files, such as `Member.from_bytes` makes; a single one may be a zip.
        modality: as for `read_volume`.

    Raises:
        InputError: nothing that can be read as one scan.
    """
    if len(members) == 1 and _kind(members[0]) is _Kind.ZIP:
        with open_zip(members[0]) as inside:
            return _read(inside, "zip", modality)
    return _read(number_members(members), "file" if len(members) == 1 else "input", modality)


def _is_folder(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise InputError("there is no such file or folder") from error
    except (OSError, ValueError) as error:
        raise InputError(f"the input cannot be opened: {getattr(error, 'strerror', 'not a path')}") from error
    if not (S_ISDIR(mode) or S_ISREG(mode)):
        raise InputError("the input is neither a regular file nor a folder")
    return S_ISDIR(mode)


def _read(members: Sequence[Member], container: str, modality: Modality | None) -> Volume:
    own = find_own_output(members) if len(members) > 1 else set()
    others = [member for member in members if member.name not in own]
    kinds = [_kind(member) for member in others]
    dicom = [member for member, kind in zip(others, kinds, strict=True) if kind is _Kind.DICOM]
    single = [(member, kind) for member, kind in zip(others, kinds, strict=True) if kind in _READERS]
    ignored = (*_ignored(len(members) - len(others), "files that Spondyl wrote"),)
    if dicom:
        ignored += _ignored(len(others) - len(dicom), "files of other kinds")
        return _with_warnings(_read_dicom(dicom, modality), ignored)
    if not single:
        raise InputError(_explain_refusal(container, others, len(members) - len(others)))
    if len(single) > 1:
        raise InputError(f"the {container} contains {len(single)} NIfTI or MetaImage files; give one of them")
    member, kind = single[0]
    with member.opened() as stream:
        volume = _READERS[kind](stream, stored_bytes=member.stored_bytes()).to_volume(modality)
    return _with_warnings(volume, (*ignored, *_ignored(len(others) - 1, "files of other kinds")))


def _read_dicom(members: Sequence[Member], modality: Modality | None) -> Volume:
    from spondyl.imaging.dicom.stack import read_dicom

    return read_dicom(members, modality)


def _ignored(count: int, what: str) -> tuple[str, ...]:
    return (f"ignored: {count} {what}",) if count else ()


def _with_warnings(volume: Volume, warnings: tuple[str, ...]) -> Volume:
    return replace(volume, warnings=(*volume.warnings, *warnings)) if warnings else volume


def _explain_refusal(container: str, members: Sequence[Member], own: int) -> str:
    if not members:
        return f"the {container} contains only files that Spondyl wrote" if own else f"the {container} is empty"
    if container == "file":
        empty = not members[0].head(1)
        return "the file is empty" if empty else "the file is no scan: neither DICOM, NIfTI, MetaImage (.mha) nor zip"
    return f"none of the {len(members)} files in the {container} is a scan (DICOM, NIfTI or MetaImage)"


def _kind(member: Member) -> _Kind:
    head = member.head(_HEAD_BYTES)
    if head[:4] in _ZIP_MAGICS:
        return _Kind.ZIP
    if head[:2] == GZIP_MAGIC:
        return _kind_of_gzip(member)
    if is_nifti(head):
        return _Kind.NIFTI
    if is_metaimage(head):
        return _Kind.METAIMAGE
    return _Kind.DICOM if is_dicom(head) else _Kind.OTHER


def _kind_of_gzip(member: Member) -> _Kind:
    with member.opened() as stream:
        try:
            return _Kind.NIFTI if is_nifti(gzip.GzipFile(fileobj=stream).read(_HEAD_BYTES)) else _Kind.OTHER
        except (OSError, EOFError, zlib.error):
            return _Kind.NIFTI  # its reader then reports the damage
