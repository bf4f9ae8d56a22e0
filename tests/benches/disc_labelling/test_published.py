"""The published rows are complete, and an order is called confirmed only where every pair has it."""

import pytest

from spondyl.benches.disc_labelling.published import PUBLISHED, describe_order

PAPER = {"a": 1.0, "b": 2.0, "c": 2.0, "d": 3.0}


@pytest.mark.parametrize("contrast", ["T1", "T2"])
def test_msa_net_is_published_as_the_nearest(contrast: str) -> None:
    assert min(PUBLISHED, key=lambda row: row.dtt_mm[contrast][0]).title == "MSA-Net"
    assert len(PUBLISHED) == 8


def test_an_order_is_confirmed_when_all_pairs_that_have_one_agree() -> None:
    text = describe_order("T1", "DTT", {"a": 0.1, "b": 0.6, "c": 0.5, "d": 0.7}, PAPER)
    assert text.startswith("T1, DTT: the papers' order is confirmed, 5 of 5 pairs")
    assert "Measured: a < c < b < d. Published: a < b < c < d." in text


@pytest.mark.parametrize("last", [0.05, 0.1])
def test_an_order_is_not_confirmed_when_a_pair_is_reversed_or_equal(last: float) -> None:
    text = describe_order("T2", "FNR", {"a": 0.1, "b": 0.5, "d": last}, PAPER)
    assert "is not confirmed, 1 of 3 pairs" in text


def test_one_method_has_no_order() -> None:
    assert "no order" in describe_order("T1", "DTT", {"a": 0.1}, PAPER)
