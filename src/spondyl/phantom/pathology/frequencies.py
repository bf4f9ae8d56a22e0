"""The published frequencies of disc and vertebral pathology.

Lumbar discs follow the gradings of SPIDER (van der Graaf et al. 2024, doi 10.1038/s41597-024-03090-w, CC BY 4.0): 218
patients with low back pain, 1,518 graded discs, counted into the tables below. A disc's place is counted from the
lowest mobile one upwards, as SPIDER does: 0 is L5/S1, 1 is L4/L5 ... 7 is T10/T11 of a regular column.

Other discs follow Teraguchi et al. 2014, doi 10.1016/j.joca.2013.10.019, 975 inhabitants: the share of discs of
Pfirrmann grade 4 or 5 peaks at C5/C6 (49 %), T6/T7 (35 %) and L4/L5 (72 %). Their ratios to L4/L5, times SPIDER's share
there, set the rows of C5/C6 and T6/T7; from there the rows fall off towards the ends of the regions (assumed).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from spondyl.anatomy.level import Level, Region
from spondyl.geometry.affine import Float

__all__ = [
    "BULGE",
    "BULGE_BESIDE_HERNIATION",
    "ENDPLATES",
    "FRACTURED_SHARE",
    "FRACTURE_GRADES",
    "FRACTURE_KINDS",
    "FRACTURE_LEVELS",
    "HERNIATION",
    "LOADING",
    "MODIC",
    "MODIC_TYPES",
    "NARROWING",
    "PFIRRMANN_BY_PLACE",
    "PFIRRMANN_BY_UPPER_LEVEL",
    "PLACE_FACTORS",
    "REGION_FACTORS",
    "SLIP",
    "DegenerativeChange",
]


class DegenerativeChange(StrEnum):
    """The degenerative changes whose frequency depends on the place of the disc."""

    NARROWING = "narrowing"
    BULGE = "bulge"
    HERNIATION = "herniation"
    ENDPLATES = "endplate defects"
    MODIC = "marrow change"
    SLIP = "spondylolisthesis"


def _table(*rows: tuple[float, ...]) -> Float:
    table = np.array(rows)
    table.flags.writeable = False
    return table


PFIRRMANN_BY_PLACE = _table(
    (0.106, 0.128, 0.271, 0.225, 0.270),  # L5/S1
    (0.101, 0.119, 0.330, 0.262, 0.188),
    (0.142, 0.197, 0.326, 0.216, 0.119),
    (0.179, 0.229, 0.316, 0.161, 0.115),
    (0.225, 0.294, 0.234, 0.170, 0.077),
    (0.272, 0.341, 0.249, 0.106, 0.032),  # T12/L1
    (0.285, 0.292, 0.194, 0.194, 0.035),
    (0.291, 0.218, 0.182, 0.255, 0.054),  # T10/T11
)
"""P(Pfirrmann 1..5 | place), from SPIDER."""

LOADING = _table((0.55, 0.70, 0.83, 0.87, 0.94, 0.90, 0.85, 0.75))[0]
"""The correlation of each disc's degeneration with the patient's shared factor, by place.

It reproduces SPIDER's rank correlations between the discs of a patient. The uppermost value holds for all other discs
(assumed).
"""

PFIRRMANN_BY_UPPER_LEVEL: Mapping[Level, tuple[float, ...]] = MappingProxyType(
    {
        Level.C2: (0.30, 0.34, 0.24, 0.10, 0.02),
        Level.C3: (0.25, 0.31, 0.26, 0.14, 0.04),
        Level.C4: (0.21, 0.28, 0.28, 0.17, 0.06),
        Level.C5: (0.17, 0.25, 0.28, 0.20, 0.10),
        Level.C6: (0.19, 0.26, 0.28, 0.18, 0.09),
        Level.C7: (0.30, 0.33, 0.24, 0.10, 0.03),
        Level.T1: (0.37, 0.35, 0.20, 0.07, 0.01),
        Level.T2: (0.36, 0.34, 0.20, 0.08, 0.02),
        Level.T3: (0.33, 0.33, 0.21, 0.11, 0.02),
        Level.T4: (0.30, 0.31, 0.23, 0.13, 0.03),
        Level.T5: (0.27, 0.28, 0.24, 0.17, 0.04),
        Level.T6: (0.26, 0.28, 0.24, 0.17, 0.05),
        Level.T7: (0.26, 0.28, 0.24, 0.17, 0.05),
        Level.T8: (0.27, 0.28, 0.24, 0.16, 0.05),
        Level.T9: (0.28, 0.26, 0.23, 0.18, 0.05),
        Level.T10: (0.29, 0.22, 0.19, 0.25, 0.05),
    }
)
"""P(Pfirrmann 1..5 | vertebra above) of the discs above those that SPIDER grades."""

NARROWING = _table(
    (0.926, 0.074, 0.000, 0.000),
    (0.944, 0.056, 0.000, 0.000),
    (0.675, 0.275, 0.050, 0.000),
    (0.361, 0.351, 0.243, 0.045),
    (0.011, 0.099, 0.494, 0.396),
)
"""P(narrowing 0..3 | Pfirrmann 1..5).

SPIDER grades only whether a disc is narrowed; the degree follows Pfirrmann's definition of the grades (Spine 2001,
26:1873): height normal to slightly reduced in 3, up to moderately reduced in 4, lost in 5.
"""

HERNIATION = _table((0.007, 0.003, 0.045, 0.076, 0.152))[0]
"""P(herniation | Pfirrmann 1..5), from SPIDER."""

BULGE = _table((0.128, 0.197, 0.619, 0.799, 0.955))[0]
"""P(bulge | Pfirrmann 1..5) of a disc without herniation, from SPIDER."""

BULGE_BESIDE_HERNIATION = 0.444
"""P(bulge | herniation), from SPIDER, 32 of 72: readers rarely call a herniated disc bulging as well."""

ENDPLATES = _table(
    (0.792, 0.018, 0.025, 0.165),
    (0.777, 0.041, 0.032, 0.150),
    (0.545, 0.050, 0.026, 0.379),
    (0.364, 0.027, 0.069, 0.540),
    (0.120, 0.005, 0.049, 0.826),
)
"""P(no defect, upper endplate, lower endplate, both | Pfirrmann 1..5), from SPIDER."""

MODIC = _table(
    (0.049, 0.068, 0.211, 0.226, 0.636),
    (0.136, 0.289, 0.500, 0.686, 0.907),
)
"""P(marrow change | Pfirrmann 1..5), without and with an endplate defect, from SPIDER."""

MODIC_TYPES = _table((0.20, 0.77, 0.03))[0]
"""P(type 1..3 | marrow change).

SPIDER's reader graded 98 % as type 2. In other series type 2 leads too, but type 1 is common (Sheng-yun et al. 2014,
doi 10.1371/journal.pone.0114993), and must occur here as well.
"""

SLIP = _table((0.004, 0.006, 0.012, 0.045, 0.114))[0]
"""P(spondylolisthesis | Pfirrmann 1..5), from SPIDER."""

PLACE_FACTORS: Mapping[DegenerativeChange, Float] = MappingProxyType(
    {
        DegenerativeChange.NARROWING: _table((1.12, 1.25, 1.17, 1.05, 0.78, 0.61, 0.67, 0.41))[0],
        DegenerativeChange.BULGE: _table((1.12, 1.23, 1.30, 1.24, 0.89, 0.46, 0.42, 0.25))[0],
        DegenerativeChange.HERNIATION: _table((1.35, 2.42, 0.90, 0.40, 0.12, 0.17, 0.22, 0.10))[0],
        DegenerativeChange.ENDPLATES: _table((0.64, 0.88, 1.11, 1.14, 1.29, 1.09, 1.18, 0.75))[0],
        DegenerativeChange.MODIC: _table((0.98, 1.16, 1.08, 1.09, 1.01, 0.81, 0.69, 0.55))[0],
        DegenerativeChange.SLIP: _table((1.92, 1.32, 0.64, 0.53, 0.63, 0.64, 0.00, 0.00))[0],
    }
)
"""The frequency of a change at a place over the one that Pfirrmann grades alone predict, from SPIDER.

Marrow change is predicted from Pfirrmann grades and endplate defects.
"""

REGION_FACTORS: Mapping[Region, Mapping[DegenerativeChange, float]] = MappingProxyType(
    {
        Region.CERVICAL: {
            DegenerativeChange.NARROWING: 0.8,
            DegenerativeChange.BULGE: 1.2,
            DegenerativeChange.HERNIATION: 1.0,
            DegenerativeChange.ENDPLATES: 0.6,
            DegenerativeChange.MODIC: 0.4,
            DegenerativeChange.SLIP: 0.4,
        },
        Region.THORACIC: {
            DegenerativeChange.NARROWING: 0.25,
            DegenerativeChange.BULGE: 0.3,
            DegenerativeChange.HERNIATION: 0.5,
            DegenerativeChange.ENDPLATES: 0.8,
            DegenerativeChange.MODIC: 0.4,
            DegenerativeChange.SLIP: 0.0,
        },
    }
)
"""The same factor for discs above SPIDER's, by the region of the vertebra above.

Marrow change: cervical 8.8 % of patients, lumbar 21 % (Sheng-yun et al. 2014, doi 10.1371/journal.pone.0114993).
Bulges: 88 % of healthy necks (Nakashima et al. 2015, Spine 40:392). Thoracic discs: of 94 subjects 37 % had a dark, 31
% a protruding and 4 % a narrowed one (Matsumoto et al. 2010, doi 10.1097/BRS.0b013e3181c17067). The rest is assumed.
"""

FRACTURED_SHARE = 0.054
"""The share of adults over 40 with a vertebral fracture.

It is below 5 % under 60 and 18 % over 80 years (NHANES 2013-2014, 3,330 people, PMC7422504).
"""

FRACTURE_LEVELS: Mapping[Level, float] = MappingProxyType(
    {
        Level.T4: 2, Level.T5: 4, Level.T6: 6, Level.T7: 9, Level.T8: 9, Level.T9: 6, Level.T10: 5, Level.T11: 9,
        Level.T12: 16, Level.T13: 12, Level.L1: 16, Level.L2: 8, Level.L3: 6, Level.L4: 4, Level.L5: 2,
    }
)  # fmt: skip
"""The relative frequency of fractures by level: two peaks, T7-T8 and T12-L1.

The numbers are round (Ismail et al. 1999, Osteoporos Int 9:206).
"""

FRACTURE_KINDS = _table((0.55, 0.25, 0.20))[0]
"""P(wedge, biconcave, crush): every second fracture is a wedge (Ismail et al. 1999; round numbers)."""

FRACTURE_GRADES = _table((0.45, 0.38, 0.17))[0]
"""P(Genant grade 1..3) (assumed; mild ones are the most frequent, Genant et al. 1993, doi 10.1002/jbmr.5650080915)."""
