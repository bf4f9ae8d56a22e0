"""Heat is a Gaussian in the channel of its disc, and every disc has the channel that it resembles."""

import numpy as np
import pytest
import torch

from spondyl.anatomy.disc import Disc, discs_of
from spondyl.anatomy.numbering import NUMBERINGS
from spondyl.locate.disc_channels import DISC_CHANNELS, channel_of
from spondyl.locate.disc_targets import render_disc_heat


def test_a_regular_disc_has_its_own_channel_from_head_to_foot():
    assert [str(disc) for disc in (DISC_CHANNELS[0], DISC_CHANNELS[-1])] == ["C2/C3", "L5/S1"]
    assert [channel_of(disc) for disc in DISC_CHANNELS] == list(range(23))


@pytest.mark.parametrize(
    ("disc", "like"),
    [("T12/T13", "T11/T12"), ("T13/L1", "T12/L1"), ("T11/L1", "T12/L1"), ("L6/S1", "L5/S1"), ("L4/S1", "L5/S1")],
)
def test_a_disc_of_a_variant_has_the_channel_of_the_one_that_it_resembles(disc, like):
    assert channel_of(Disc.from_name(disc)) == channel_of(Disc.from_name(like))


def test_the_discs_of_any_column_have_channels_that_descend_but_for_the_sacrum():
    for numbering in NUMBERINGS:
        *channels, last = (channel_of(disc) for disc in discs_of(numbering))
        assert last is None
        assert channels == sorted(channels)


@pytest.mark.parametrize("stride", [1, 4])
def test_heat_is_the_gaussian_at_the_middle_of_each_pixel(stride):
    points, channels = torch.tensor([[(20.3, 31.0), (44.0, 8.5), (1.0, 1.0)]]), torch.tensor([[2, 0, -1]])
    heat = render_disc_heat(points, channels, (16, 12), stride=stride, variance_px=10.0, count=3)[0].numpy()
    assert heat.shape == (3, 16, 12)
    for row, column in np.ndindex(16, 12):
        y, x = (stride * place + (stride - 1) / 2 for place in (row, column))
        assert heat[2, row, column] == pytest.approx(np.exp(-((y - 20.3) ** 2 + (x - 31) ** 2) / 20), abs=1e-6)
        assert heat[0, row, column] == pytest.approx(np.exp(-((y - 44) ** 2 + (x - 8.5) ** 2) / 20), abs=1e-6)
    assert not heat[1].any()  # padding draws nothing


def test_peaks_of_one_channel_do_not_add_up():
    points, channels = torch.tensor([[(8.0, 8.0), (8.0, 10.0)]]), torch.zeros(1, 2, dtype=torch.long)
    heat = render_disc_heat(points, channels, (20, 20), stride=1, variance_px=10.0, count=1)
    assert heat.max() == 1
