"""Phantoms that several tests look at, each made once in a process."""

from functools import cache

from spondyl.phantom.options import PhantomOptions
from spondyl.phantom.patient import Phantom, make_phantom


@cache
def lumbar() -> Phantom:
    """A sagittal T2 of a regular lumbar spine, T11 to S2, 15 slices; nothing is wrong with it."""
    return make_phantom(
        PhantomOptions.from_text(
            seed=1, sequence="t2", spacing_mm=1.2, variant="regular", cobb_deg=0, severity=0, screws="none"
        )
    )


@cache
def made(**options: object) -> Phantom:
    """A phantom by the command line's words; coarse, so that it is quick to make."""
    return make_phantom(PhantomOptions.from_text(**{"spacing_mm": 2.4, **options}))  # type: ignore[arg-type]
