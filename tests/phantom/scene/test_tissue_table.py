"""Materials differ as the tissues they stand for."""

from itertools import pairwise

import pytest

from spondyl.errors import SettingError
from spondyl.phantom.scanner.mr_signal import compute_water_and_fat
from spondyl.phantom.scanner.sequence import Contrast, PulseSequence
from spondyl.phantom.scene.material import Material, Tissue
from spondyl.phantom.scene.tissue_table import (
    get_material,
    make_annulus,
    make_marrow,
    make_modic_change,
    make_nucleus,
    make_oedema,
)

T1 = Contrast(sequence=PulseSequence.T1_TSE, tr_ms=600, te_ms=10)
T2 = Contrast(sequence=PulseSequence.T2_TSE, tr_ms=4000, te_ms=100)


def brightness(stuff: Material, contrast: Contrast) -> float:
    return abs(sum(compute_water_and_fat(stuff, contrast)))


@pytest.mark.parametrize("tissue", list(Tissue))
def test_every_tissue_has_a_material_of_its_own_kind(tissue: Tissue) -> None:
    assert get_material(tissue).tissue is tissue
    assert get_material(tissue).t2_star_ms <= get_material(tissue).t2_ms


def test_attenuation_runs_from_air_to_metal_in_the_known_order() -> None:
    order = (
        Tissue.AIR,
        Tissue.LUNG,
        Tissue.FAT,
        Tissue.CSF,
        Tissue.CORD,
        Tissue.MUSCLE,
        Tissue.NUCLEUS,
        Tissue.MARROW,
        Tissue.ENDPLATE,
        Tissue.CORTICAL_BONE,
        Tissue.METAL,
    )
    hus = [get_material(tissue).hu for tissue in order]
    assert hus == sorted(hus)
    assert len(set(hus)) == len(hus)
    assert hus[0] == -1000


def test_a_nucleus_loses_water_with_each_grade_until_it_looks_like_the_annulus() -> None:
    grades = [make_nucleus(grade) for grade in range(1, 6)]
    assert all(a.t2_ms > b.t2_ms and a.proton_density > b.proton_density for a, b in pairwise(grades))
    assert brightness(grades[0], T2) > 5 * brightness(make_annulus(), T2)
    assert brightness(grades[4], T2) == pytest.approx(brightness(make_annulus(), T2), rel=0.25)


def test_modic_changes_look_as_they_are_defined() -> None:
    t1, t2 = ([brightness(make_modic_change(type_), contrast) for type_ in range(4)] for contrast in (T1, T2))
    assert t1[1] < 0.8 * t1[0]
    assert t2[1] > 1.1 * t2[0]
    assert t1[2] > 1.2 * t1[0]
    assert t2[2] > t2[0]
    assert t1[3] < 0.8 * t1[0]
    assert t2[3] < 0.8 * t2[0]
    assert make_modic_change(3).hu > make_modic_change(0).hu + 200
    assert make_modic_change(0) == make_marrow()


def test_a_change_keeps_what_it_does_not_change_of_the_patients_own_marrow() -> None:
    own = make_marrow(fat_fraction=0.6, hu=90)
    assert make_modic_change(0, own) == own
    assert make_modic_change(2, own).hu < own.hu
    assert make_oedema(own).fat_fraction < own.fat_fraction
    assert make_oedema(own).hu == own.hu


def test_numbers_outside_their_range_are_refused() -> None:
    with pytest.raises(SettingError, match="Pfirrmann grade must be 1 to 5, got 6"):
        make_nucleus(6)
    with pytest.raises(SettingError, match="Modic type must be 0 to 3, got 4"):
        make_modic_change(4)
    with pytest.raises(SettingError, match="fat fraction"):
        make_marrow(fat_fraction=1.2)
