"""What decoders print does not reach the user; what Spondyl prints is never lost."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from imaging.dicom.test_stack import LARGE_ENOUGH, transcode
from imaging.dicom_files import PATIENT, write_series
from spondyl.errors import InputError
from spondyl.imaging.quiet import silence_decoders
from spondyl.imaging.read import read_volume

UNKNOWN = "1.2.826.0.1.3680043.9.7777.4711"


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless])
def test_decoders_print_nothing_about_damaged_pixels(
    tmp_path: Path, syntax: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in write_series(tmp_path, LARGE_ENOUGH):
        transcode(path, syntax)
        content = bytearray(path.read_bytes())
        content[-200:-40] = bytes(range(160))
        path.write_bytes(content)
    capfd.readouterr()
    with suppress(InputError):
        read_volume(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_lines_are_lost_only_inside(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before\n")
    with suppress(KeyError), silence_decoders():
        os.write(2, b"inside\n")
        raise KeyError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_where_standard_error_is_closed_nothing_is_opened_in_its_place() -> None:
    code = (
        "import os\n"
        "from spondyl.imaging.quiet import silence_decoders\n"
        "os.close(2)\n"
        "with silence_decoders():\n"
        "    pass\n"
        "try:\n"
        "    os.fstat(2)\n"
        "except OSError:\n"
        "    print('still closed')\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "still closed\n"


def test_no_file_stays_open() -> None:
    first = os.dup(2)
    os.close(first)
    for _ in range(50):
        with silence_decoders():
            pass
    last = os.dup(2)
    os.close(last)
    assert last == first


@pytest.mark.parametrize("syntax", [UNKNOWN, f"{PATIENT}", "1.2.840.10008.1.2.4.999"])
def test_an_unknown_transfer_syntax_is_not_echoed(tmp_path: Path, syntax: str) -> None:
    for path in write_series(tmp_path, LARGE_ENOUGH):
        dataset = dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        written = path.with_suffix(".new")
        dataset.save_as(written)
        meta = written.read_bytes()
        known = b"1.2.840.10008.1.2.5"
        at = meta.index(b"\x02\x00\x10\x00UI") + 6
        length = int.from_bytes(meta[at : at + 2], "little")
        assert known in meta[at : at + 2 + length]
        value = syntax.encode() + bytes(len(syntax) % 2)
        head = meta[:140] + (int.from_bytes(meta[140:144], "little") + len(value) - length).to_bytes(4, "little")
        path.write_bytes(head + meta[144:at] + len(value).to_bytes(2, "little") + value + meta[at + 2 + length :])
        written.unlink()
    with pytest.raises(InputError, match="cannot be decoded: a private or unknown one") as raised:
        read_volume(tmp_path)
    assert syntax not in str(raised.value)
