"""The channels of the networks that locate discs."""

from __future__ import annotations

from spondyl.anatomy.disc import Disc, discs_of
from spondyl.anatomy.landmarks import STAND_INS
from spondyl.anatomy.level import Level

__all__ = ["DISC_CHANNELS", "POSTERIOR_CHANNEL", "channel_of"]

DISC_CHANNELS: tuple[Disc, ...] = tuple(disc for disc in discs_of() if disc.upper is not Level.S1)
"""The disc of each channel: C2/C3 to L5/S1 of a regular spine."""

POSTERIOR_CHANNEL = len(DISC_CHANNELS)
"""The channel of the posterior edges of all discs."""


def channel_of(disc: Disc) -> int | None:
    """Return the channel of a disc; None for S1/S2, which networks are neither taught to find nor to ignore.

    A disc that a regular spine does not have is like the one above the vertebra that its lower vertebra resembles
    (`anatomy.landmarks.STAND_INS`): T12/T13 like T11/T12, T13/L1 and T11/L1 like T12/L1, L6/S1 and L4/S1 like L5/S1.
    """
    if disc.upper is Level.S1:
        return None
    lower = STAND_INS.get(disc.lower, disc.lower)
    return next(channel for channel, known in enumerate(DISC_CHANNELS) if known.lower is lower)
