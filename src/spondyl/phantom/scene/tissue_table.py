"""The table of tissues at 1.5 T and in CT, and how pathological marrow and discs depart from it.

Relaxation times are of water alone where a tissue holds fat; fat's own are the acquisition's. Sources:

- Stanisz et al., Magn Reson Med 54:507 (2005): muscle, cord, brain, cartilage, optic nerve and blood at 1.5 T.
- de Bazelaire et al., Radiology 230:652 (2004): abdominal organs, paravertebral muscle and lumbar marrow (T2 49 ms,
  water and fat together), and T1 shorter by a fifth at 1.5 T than at 3 T.
- Bojorquez et al., Magn Reson Imaging 35:69 (2017): the spread of what is published at 3 T.
- Smith et al., Magn Reson Med 60:213 (2008): cord at 3 T; white and grey matter hardly differ in T2.
- Marinelli et al., AJNR Am J Neuroradiol 31:1278 (2010): T2 of the nucleus, 108 ms at Pfirrmann grade 2, 53 ms at 4;
  other series find 85 ms at grade 3, 150 to 210 ms at grade 1 and 37 to 62 ms in the annulus.
- Horch et al., Magn Reson Med 64:680 (2010): cortical bone, T2 of its bound water below 0.5 ms.
- Hatabu et al., Eur J Radiol 29:245 (1999): lung, T2* below 2 ms.
- Schreiber et al., J Bone Joint Surg Am 93:1057 (2011); Pickhardt et al., Ann Intern Med 158:588 (2013): HU of lumbar
  trabecular bone, 130 to 180 in the middle of life.
Numbers without a source above (skin, ligament, bowel, textures) are chosen so that scans look as real ones do.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from spondyl.errors import SettingError
from spondyl.phantom.scene.material import Material, Tissue

__all__ = ["get_material", "make_annulus", "make_marrow", "make_modic_change", "make_nucleus", "make_oedema"]

_ROWS: tuple[tuple[Tissue, float, float, float, float, float, float, float, bool], ...] = (
    # tissue, proton density, T1, T2, T2* (ms), fat fraction, HU, texture, flows
    (Tissue.AIR, 0.0, 1000.0, 1.0, 1.0, 0.0, -1000.0, 0.0, False),
    (Tissue.SKIN, 0.60, 900.0, 30.0, 15.0, 0.10, 30.0, 0.05, False),
    (Tissue.FAT, 0.95, 1000.0, 40.0, 20.0, 0.92, -100.0, 0.05, False),
    (Tissue.MUSCLE, 0.80, 900.0, 38.0, 25.0, 0.08, 55.0, 0.12, False),
    (Tissue.LIGAMENT, 0.45, 800.0, 10.0, 5.0, 0.03, 75.0, 0.05, False),
    (Tissue.CORTICAL_BONE, 0.20, 250.0, 0.5, 0.4, 0.0, 850.0, 0.06, False),
    (Tissue.MARROW, 0.85, 1000.0, 50.0, 14.0, 0.42, 170.0, 0.10, False),
    (Tissue.ENDPLATE, 0.35, 500.0, 8.0, 4.0, 0.0, 450.0, 0.08, False),
    (Tissue.ANNULUS, 0.62, 900.0, 35.0, 22.0, 0.0, 95.0, 0.06, False),
    (Tissue.NUCLEUS, 0.95, 1300.0, 165.0, 99.0, 0.0, 80.0, 0.06, False),
    (Tissue.CARTILAGE, 0.75, 1024.0, 36.0, 22.0, 0.0, 80.0, 0.05, False),
    (Tissue.CSF, 1.0, 4000.0, 1800.0, 400.0, 0.0, 10.0, 0.03, True),
    (Tissue.CORD, 0.73, 800.0, 74.0, 48.0, 0.0, 40.0, 0.04, False),
    (Tissue.NERVE, 0.75, 815.0, 77.0, 45.0, 0.02, 38.0, 0.05, False),
    (Tissue.BRAIN, 0.80, 1000.0, 85.0, 60.0, 0.0, 36.0, 0.06, False),
    (Tissue.EPIDURAL_FAT, 0.95, 1000.0, 40.0, 20.0, 0.90, -95.0, 0.05, False),
    (Tissue.BLOOD, 0.85, 1441.0, 290.0, 200.0, 0.0, 45.0, 0.02, True),
    (Tissue.VEIN, 0.85, 1441.0, 180.0, 60.0, 0.0, 45.0, 0.02, True),
    (Tissue.ORGAN, 0.75, 750.0, 58.0, 30.0, 0.05, 55.0, 0.08, False),
    (Tissue.BOWEL, 0.75, 900.0, 80.0, 25.0, 0.05, 20.0, 0.30, False),
    (Tissue.LUNG, 0.15, 1170.0, 40.0, 1.5, 0.0, -850.0, 0.05, False),
    (Tissue.METAL, 0.0, 1000.0, 1.0, 1.0, 0.0, 6000.0, 0.0, False),
)

_TABLE = MappingProxyType(
    {
        row[0]: Material(
            tissue=row[0],
            proton_density=row[1],
            t1_ms=row[2],
            t2_ms=row[3],
            t2_star_ms=row[4],
            fat_fraction=row[5],
            hu=row[6],
            texture=row[7],
            is_flowing=row[8],
        )
        for row in _ROWS
    }
)

_NUCLEUS_BY_PFIRRMANN = {
    1: (0.95, 1300.0, 165.0),
    2: (0.90, 1200.0, 115.0),
    3: (0.80, 1050.0, 80.0),
    4: (0.70, 950.0, 53.0),
    5: (0.62, 900.0, 37.0),
}
"""Proton density, T1 and T2 (ms) by Pfirrmann grade.

Water is lost with every grade, until the nucleus looks like the annulus.
"""


def get_material(tissue: Tissue) -> Material:
    """Return the usual material of a tissue, adult and healthy."""
    return _TABLE[tissue]


def make_marrow(fat_fraction: float = 0.42, hu: float = 170.0) -> Material:
    """Make red and yellow marrow between trabeculae.

    Args:
        fat_fraction: share of fat, 0.2 in the young to 0.65 in the old.
        hu: mean attenuation; bone loss lowers it to 60 and less.

    Raises:
        SettingError: the fat fraction is outside 0 to 1.
    """
    return replace(get_material(Tissue.MARROW), fat_fraction=fat_fraction, hu=hu)


def make_annulus() -> Material:
    """Make the fibrous ring of a disc."""
    return get_material(Tissue.ANNULUS)


def make_nucleus(pfirrmann: int) -> Material:
    """Make the nucleus of a disc, darker in T2 with each grade of degeneration.

    Args:
        pfirrmann: grade, 1 to 5.

    Raises:
        SettingError: the grade is outside 1 to 5.
    """
    if pfirrmann not in _NUCLEUS_BY_PFIRRMANN:
        raise SettingError(f"a Pfirrmann grade must be 1 to 5, got {pfirrmann}")
    proton_density, t1_ms, t2_ms = _NUCLEUS_BY_PFIRRMANN[pfirrmann]
    return replace(
        get_material(Tissue.NUCLEUS), proton_density=proton_density, t1_ms=t1_ms, t2_ms=t2_ms, t2_star_ms=0.6 * t2_ms
    )


def make_oedema(healthy: Material | None = None) -> Material:
    """Make marrow oedema, as in a recent fracture: dark in T1, bright in T2 and brightest in STIR.

    Args:
        healthy: marrow that it replaces.
    """
    base = healthy or make_marrow()
    return replace(
        base, proton_density=0.95, t1_ms=1500.0, t2_ms=110.0, t2_star_ms=30.0, fat_fraction=0.3 * base.fat_fraction
    )


def make_modic_change(type_: int, healthy: Material | None = None) -> Material:
    """Make the marrow beside a degenerated disc (Modic et al., Radiology 166:193, 1988).

    Args:
        type_: type of change, 0 for none, 1 for oedema, 2 for fat, 3 for sclerosis.
        healthy: marrow that it changes.

    Raises:
        SettingError: the type is outside 0 to 3.
    """
    base = healthy or make_marrow()
    changed = {
        0: base,
        1: make_oedema(base),
        2: replace(base, fat_fraction=min(1.0, base.fat_fraction + 0.35), hu=base.hu - 40.0),
        3: replace(base, proton_density=0.35, t1_ms=600.0, t2_ms=20.0, t2_star_ms=5.0, hu=base.hu + 350.0),
    }
    if type_ not in changed:
        raise SettingError(f"a Modic type must be 0 to 3, got {type_}")
    return changed[type_]
