"""Whatever a DICOM series looks like on disk, every voxel ends up at its place in the world."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from imaging.dicom_files import AXIAL, CORONAL, PATIENT, SAGITTAL, Planes, enhanced, image, set_pixels, write_series
from ramps import assert_is_ramp, ramp
from real_data import DATA, needs_real_data
from spondyl.errors import InputError
from spondyl.geometry.resample import to_sagittal
from spondyl.imaging.read import read_volume
from spondyl.imaging.volume import Modality, Volume

LARGE_ENOUGH = replace(SAGITTAL, rows=40, columns=36, slices=4)
"""For JPEG 2000, whose usual five halvings need 32 pixels."""


def assert_reads_as_ramp(path: Path, tolerance: float = 0.3) -> Volume:
    volume = read_volume(path)
    assert_is_ramp(volume.voxels, volume.affine, tolerance)
    return volume


@pytest.mark.parametrize(
    "planes",
    [
        SAGITTAL,
        CORONAL,
        AXIAL,
        SAGITTAL.turned(0, 0, 20),
        SAGITTAL.turned(12, -9, 17),
        SAGITTAL.turned(0, 0, 180),
        CORONAL.turned(25, 10, -8),
        AXIAL.turned(-30, 14, 5),
        replace(AXIAL, step_mm=(0, 0.5, 1.5)),
    ],
    ids=["sagittal", "coronal", "axial", "oblique", "double-oblique", "turned", "cor-oblique", "ax-oblique", "tilted"],
)
def test_every_voxel_of_any_orientation_is_at_its_place_before_and_after_becoming_sagittal(
    tmp_path: Path, planes: Planes
) -> None:
    write_series(tmp_path, planes)
    volume = assert_reads_as_ramp(tmp_path)
    assert volume.voxels.shape == (planes.columns, planes.rows, planes.slices)
    stack, _ = to_sagittal(volume.voxels, volume.affine)
    assert_is_ramp(stack.voxels, stack.affine, 0.3)


def test_a_bright_voxel_is_where_the_standard_puts_it(tmp_path: Path) -> None:
    planes = SAGITTAL.turned(8, 11, -6)
    row, column, number = 9, 4, 5

    def light(dataset: Dataset, at: int) -> None:
        stored = np.zeros((planes.rows, planes.columns), np.uint16)
        stored[row, column] = 4000 if at == number else 0
        set_pixels(dataset, stored)

    write_series(tmp_path, planes, edit=light)
    volume = read_volume(tmp_path)
    stack, _ = to_sagittal(volume.voxels, volume.affine)
    expected = planes.pixels_ras(number)[row, column]
    for voxels, affine in ((volume.voxels, volume.affine), (stack.voxels, stack.affine)):
        brightest = np.unravel_index(voxels.argmax(), voxels.shape)
        np.testing.assert_allclose(affine.to_world(brightest), expected, atol=1e-4)


def test_one_missing_slice_is_interpolated_and_said(tmp_path: Path) -> None:
    write_series(tmp_path, SAGITTAL, numbers=[0, 1, 2, 4, 5, 6])
    volume = assert_reads_as_ramp(tmp_path)
    assert volume.voxels.shape[2] == 7
    assert any("1 slices are missing (gaps of up to 8.0 mm, usually 4.0 mm)" in w for w in volume.warnings)


def test_uneven_slices_are_interpolated_to_an_even_grid(tmp_path: Path) -> None:
    write_series(tmp_path, SAGITTAL, numbers=[0, 1.3, 2, 3.4, 4, 5.25, 6])
    volume = assert_reads_as_ramp(tmp_path)
    assert any("unevenly spaced (2.4 to 5.6 mm)" in w for w in volume.warnings)


def test_rounded_positions_count_as_even(tmp_path: Path) -> None:
    def rounded(dataset: Dataset, _: int) -> None:
        dataset.ImagePositionPatient = [round(float(mm), 1) for mm in dataset.ImagePositionPatient]

    write_series(tmp_path, SAGITTAL.turned(3, 2, 4), edit=rounded)
    volume = read_volume(tmp_path)
    assert volume.warnings == ()
    assert_is_ramp(volume.voxels, volume.affine, 1.5)  # 0.05 mm on each axis of a slope of 18 per mm


def test_a_slice_far_away_is_dropped_rather_than_bridged(tmp_path: Path) -> None:
    write_series(tmp_path, SAGITTAL, numbers=[0, 1, 2, 3, 4, 5, 30])
    volume = assert_reads_as_ramp(tmp_path)
    assert volume.voxels.shape[2] == 6
    assert any("1 slices lie more than 20 mm away" in w for w in volume.warnings)


def test_duplicates_are_dropped_and_said(tmp_path: Path) -> None:
    write_series(tmp_path, SAGITTAL, numbers=[0, 1, 2, 3, 3, 4, 5, 6, 6])
    volume = assert_reads_as_ramp(tmp_path)
    assert volume.voxels.shape[2] == 7
    assert any("2 images at positions that another image already has were ignored" in w for w in volume.warnings)


def test_slices_shifted_sideways_are_named(tmp_path: Path) -> None:
    def shift(dataset: Dataset, number: int) -> None:
        if number == 3:
            x, y, z = dataset.ImagePositionPatient
            dataset.ImagePositionPatient = [x, y + 5, z]

    write_series(tmp_path, SAGITTAL, edit=shift)
    assert any("shifted against each other by up to 5.0 mm" in w for w in read_volume(tmp_path).warnings)


@pytest.mark.parametrize("bits", [12, 16])
def test_signed_pixels_keep_their_sign_even_without_sign_extension(tmp_path: Path, bits: int) -> None:
    def signed(dataset: Dataset, number: int) -> None:
        stored = np.round(ramp(SAGITTAL.pixels_ras(number)) - 2500).astype(np.int16)
        set_pixels(dataset, stored, bits)
        dataset.PixelData = (stored.view(np.uint16) & ((1 << bits) - 1)).tobytes()
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 2500

    write_series(tmp_path, SAGITTAL, edit=signed)
    assert_reads_as_ramp(tmp_path, tolerance=0.6)


def test_overlays_above_12_bits_are_ignored(tmp_path: Path) -> None:
    def overlay(dataset: Dataset, number: int) -> None:
        stored = np.round(ramp(SAGITTAL.pixels_ras(number))).astype(np.uint16)
        stored[::2] |= 0x8000
        set_pixels(dataset, stored, 12)
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0

    write_series(tmp_path, SAGITTAL, edit=overlay)
    assert_reads_as_ramp(tmp_path, tolerance=0.6)


def test_each_slice_has_its_own_rescale(tmp_path: Path) -> None:
    def own(dataset: Dataset, number: int) -> None:
        slope = 0.1 + 0.01 * number
        set_pixels(dataset, np.round((ramp(SAGITTAL.pixels_ras(number)) + 7) / slope).astype(np.uint16))
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, -7

    write_series(tmp_path, SAGITTAL, edit=own)
    assert_reads_as_ramp(tmp_path)


def test_monochrome1_is_turned_so_that_bright_is_bright(tmp_path: Path) -> None:
    def inverted(dataset: Dataset, number: int) -> None:
        stored = np.round(ramp(SAGITTAL.pixels_ras(number))).astype(np.uint16)
        set_pixels(dataset, 4095 - stored)
        dataset.PhotometricInterpretation, dataset.RescaleSlope, dataset.RescaleIntercept = "MONOCHROME1", 1, 0

    write_series(tmp_path, SAGITTAL, edit=inverted)
    volume = read_volume(tmp_path)
    truth = ramp(volume.affine.to_world(np.moveaxis(np.indices(volume.voxels.shape), 0, -1)))
    assert np.ptp(volume.voxels - truth) <= 1.1  # up to one constant


def test_hounsfield_units_do_not_depend_on_how_they_are_shown(tmp_path: Path) -> None:
    def inverted(dataset: Dataset, _: int) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"

    write_series(tmp_path, AXIAL, edit=inverted, ct=True)
    assert assert_reads_as_ramp(tmp_path).modality is Modality.CT


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
        JPEGLosslessSV1,
    ],
)
def test_every_lossless_transfer_syntax_gives_the_same_voxels(tmp_path: Path, syntax: str) -> None:
    for path in write_series(tmp_path, LARGE_ENOUGH):
        transcode(path, syntax)
    assert_reads_as_ramp(tmp_path)


def transcode(path: Path, syntax: str) -> None:
    if syntax == JPEGLosslessSV1:
        return _gdcm_lossless_jpeg(path)
    dataset = dcmread(path)
    if syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        dataset.compress(syntax, generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
    return dataset.save_as(path, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)


def _gdcm_lossless_jpeg(path: Path) -> None:
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


def test_files_without_preamble_are_dicom_too(tmp_path: Path) -> None:
    for path in write_series(tmp_path, SAGITTAL):
        dataset = dcmread(path)
        del dataset.file_meta
        dataset.preamble = None
        dataset.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert_reads_as_ramp(tmp_path)


def test_a_single_slice_is_read_and_said_to_be_one(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path, SAGITTAL, numbers=[2])
    volume = assert_reads_as_ramp(path)
    assert volume.warnings == ("the scan has only one slice",)


def test_an_enhanced_multi_frame_object_is_a_stack(tmp_path: Path) -> None:
    enhanced(SAGITTAL.turned(10, 5, -7)).save_as(tmp_path / "one", enforce_file_format=True)
    volume = assert_reads_as_ramp(tmp_path / "one")
    assert volume.warnings == ()
    assert volume.source["files"] == 1


def test_of_two_echoes_in_one_object_the_first_is_taken_and_the_other_named(tmp_path: Path) -> None:
    enhanced(SAGITTAL, echoes=2).save_as(tmp_path / "one", enforce_file_format=True)
    volume = assert_reads_as_ramp(tmp_path / "one")
    assert [w for w in volume.warnings if "ignored" in w]


def test_the_sagittal_series_that_shows_most_of_the_spine_is_chosen_and_the_others_are_listed(tmp_path: Path) -> None:
    def localiser(dataset: Dataset, _: int) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    larger = replace(SAGITTAL, rows=40, columns=20, slices=9)
    huge = replace(SAGITTAL, step_mm=(8, 0, 0), rows=70, columns=40, slices=6)
    write_series(tmp_path, SAGITTAL, name="a")
    write_series(tmp_path, larger, name="b")
    write_series(tmp_path, AXIAL, name="c")
    write_series(tmp_path, huge, name="d", edit=localiser)
    volume = assert_reads_as_ramp(tmp_path)
    assert volume.voxels.shape == (20, 40, 9)
    assert "sagittal, 9 slices, 160 mm" in str(volume.source["series"])
    assert sum("ignored" in w for w in volume.warnings) == 3
    assert sum("localiser" in w for w in volume.warnings) == 1


def test_a_t2_series_is_preferred_among_equals(tmp_path: Path) -> None:
    def t1(dataset: Dataset, _: int) -> None:
        dataset.EchoTime, dataset.RepetitionTime = 10, 500

    def t2(dataset: Dataset, number: int) -> None:
        dataset.EchoTime, dataset.RepetitionTime = 100, 3000
        set_pixels(dataset, np.full((14, 12), 100 + number, np.uint16))

    write_series(tmp_path, SAGITTAL, edit=t1, name="a")
    write_series(tmp_path, SAGITTAL, edit=t2, name="b")
    assert np.ptp(read_volume(tmp_path).voxels) == pytest.approx(0.6, abs=1e-3)


def test_several_directions_and_echoes_in_one_series_are_taken_apart(tmp_path: Path) -> None:
    series = generate_uid()

    def same(echo_ms: float) -> object:
        def edit(dataset: Dataset, _: int) -> None:
            dataset.SeriesInstanceUID, dataset.EchoTime = series, echo_ms
            if echo_ms > 10:
                set_pixels(dataset, np.zeros((14, 12), np.uint16))

        return edit

    write_series(tmp_path, SAGITTAL, edit=same(10), name="a")  # type: ignore[arg-type]
    write_series(tmp_path, SAGITTAL, edit=same(50), name="b")  # type: ignore[arg-type]
    write_series(tmp_path, AXIAL, edit=same(10), name="c", numbers=range(3))  # type: ignore[arg-type]
    volume = assert_reads_as_ramp(tmp_path)
    assert volume.voxels.shape == (12, 14, 7)
    assert sum("ignored" in w for w in volume.warnings) == 2


def test_stations_of_a_long_exam_in_one_series_are_not_mixed(tmp_path: Path) -> None:
    series = generate_uid()
    for name, z_mm in (("a", 60.0), ("b", 400.0)):
        station = replace(SAGITTAL, origin_mm=(-20.0, -35.0, z_mm))
        write_series(tmp_path, station, name=name, edit=lambda d, _: setattr(d, "SeriesInstanceUID", series))
    volume = assert_reads_as_ramp(tmp_path)
    assert volume.voxels.shape == (12, 14, 7)
    assert sum("ignored: series 1, sagittal, 7 slices" in w for w in volume.warnings) == 1


def test_the_modality_asked_for_is_read(tmp_path: Path) -> None:
    write_series(tmp_path, SAGITTAL, name="a")
    write_series(tmp_path, AXIAL, name="b", ct=True)
    assert read_volume(tmp_path).modality is Modality.MR
    assert read_volume(tmp_path, modality=Modality.CT).modality is Modality.CT


def test_nothing_that_comes_out_names_the_patient_or_a_file(tmp_path: Path) -> None:
    write_series(tmp_path / PATIENT, SAGITTAL, name=PATIENT)
    write_series(tmp_path / PATIENT, AXIAL, name=PATIENT + "2")
    volume = read_volume(tmp_path)
    shown = f"{volume.source} {volume.warnings}"
    identifiers = (PATIENT, "Roe", "4711", "1970", "IM0", str(image(SAGITTAL, 0).SOPClassUID)[:12])
    assert not [text for text in identifiers if text in shown]


# Refusals


def test_only_localisers_are_refused(tmp_path: Path) -> None:
    def localiser(dataset: Dataset, _: int) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    write_series(tmp_path, SAGITTAL, edit=localiser)
    with pytest.raises(InputError, match="only localisers"):
        read_volume(tmp_path)


def test_an_axial_only_localiser_is_refused_as_such(tmp_path: Path) -> None:
    thick = replace(AXIAL, step_mm=(0, 0, 10), slices=5)
    write_series(tmp_path, thick)
    volume = read_volume(tmp_path)
    with pytest.raises(InputError, match=r"axial stack with slices 10\.0 mm apart"):
        to_sagittal(volume.voxels, volume.affine)


def test_another_modality_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, AXIAL, edit=lambda dataset, _: setattr(dataset, "Modality", "PT"))
    with pytest.raises(InputError, match="none of them is MR or CT"):
        read_volume(tmp_path)


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows"])
def test_images_without_a_place_in_space_are_refused(tmp_path: Path, keyword: str) -> None:
    write_series(tmp_path, SAGITTAL, edit=lambda dataset, _: delattr(dataset, keyword))
    with pytest.raises(InputError, match="no greyscale image with a position"):
        read_volume(tmp_path)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.100", "1.2.826.0.1.3680043.2.1143.1.77"])
def test_an_unreadable_transfer_syntax_is_named(tmp_path: Path, syntax: str) -> None:
    for path in write_series(tmp_path, SAGITTAL):
        dataset = dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path)
    with pytest.raises(InputError, match="transfer syntax of the DICOM files cannot be decoded"):
        read_volume(tmp_path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_truncated_pixels_are_refused(tmp_path: Path, syntax: str) -> None:
    paths = write_series(tmp_path, LARGE_ENOUGH)
    for path in paths:
        transcode(path, syntax)
    content = paths[3].read_bytes()
    paths[3].write_bytes(content[: len(content) - 90])
    with pytest.raises(InputError, match="damaged, truncated or missing"):
        read_volume(tmp_path)


@pytest.mark.parametrize("cut", [10, 140, 400])
def test_a_file_cut_in_its_header_is_no_image(tmp_path: Path, cut: int) -> None:
    (path,) = write_series(tmp_path, SAGITTAL, numbers=[0])
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"no greyscale image|no scan"):
        read_volume(path)


def test_a_constant_series_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, SAGITTAL, edit=lambda d, _: set_pixels(d, np.full((14, 12), 7, np.uint16)))
    with pytest.raises(InputError, match="constant"):
        read_volume(tmp_path)


def test_a_header_that_promises_a_billion_voxels_is_refused_before_its_pixels_are_read(tmp_path: Path) -> None:
    def vast(dataset: Dataset, _: int) -> None:
        dataset.Rows, dataset.Columns = 60000, 60000

    write_series(tmp_path, SAGITTAL, edit=vast)
    with pytest.raises(InputError, match="too large"):
        read_volume(tmp_path)


@needs_real_data
def test_a_real_chest_ct_has_its_slices_in_order_and_its_gaps_filled() -> None:
    volume = read_volume(DATA / "dicom" / "chest_ct")
    headers = [dcmread(path, stop_before_pixels=False) for path in sorted((DATA / "dicom" / "chest_ct").iterdir())[:5]]
    assert volume.modality is Modality.CT
    np.testing.assert_allclose(volume.affine.spacing_mm, (0.78125, 0.78125, 1.0), atol=1e-4)
    for header in headers:
        x, y, z = (float(mm) for mm in header.ImagePositionPatient)
        column, row, number = np.round(volume.affine.to_index((-x, -y, z))).astype(int)
        assert (column, row) == (0, 0)
        np.testing.assert_array_equal(volume.voxels[:, :, number].T, header.pixel_array - 1000.0)
    assert any("20 slices are missing" in w for w in volume.warnings)
