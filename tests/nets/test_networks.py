"""Laws that every network keeps, whatever its weights, and what each refuses."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from spondyl.errors import SettingError
from spondyl.nets.appearance import COMPACT as COMPACT_APPEARANCE
from spondyl.nets.appearance import Appearance, AppearancePreset, ConvLayer
from spondyl.nets.bilstm import BiLstm, BiLstmPreset
from spondyl.nets.context import Context
from spondyl.nets.grading import SPINENET_HEADS, Grading, GradingPreset, split_gradings
from spondyl.nets.look_once import LookOnce, LookOncePreset, PointNet
from spondyl.nets.presets import build
from spondyl.nets.vfr import COMPACT, OUTPUT_CHANNELS, Vfr, VfrPreset, _UpBlock

DISC_NETWORKS = (
    "unet",
    "shape-unet",
    "hourglass",
    "attention-hourglass",
    "hca-net",
    "msa-net",
    "countception",
    "swin-net",
)
TINY_VFR = VfrPreset(
    block="bottleneck",
    blocks=(1, 1, 2, 1),
    widths=(4, 4, 8, 8),
    stem_width=4,
    bridge_convs=1,
    decoder_widths=(16, 8, 8, 4, 4),
    decoder_convs=(2, 1, 2, 1, 2),
)
TINY_GRADING = GradingPreset(blocks=(1, 1, 1, 1), widths=(4, 4, 8, 8), head="mlp")
CASES = {
    "compact vfr": (lambda: Vfr(COMPACT), (3, 1, 64, 96)),
    "tiny bottleneck vfr": (lambda: Vfr(TINY_VFR), (3, 1, 64, 32)),
    "compact appearance": (lambda: Appearance(COMPACT_APPEARANCE), (3, 1, 64, 64, 8)),
    "context": (Context, (3, 1, 64, 24)),
    "tiny bilstm": (lambda: BiLstm(BiLstmPreset(columns=5, hidden=8)), (3, 1, 7, 6)),
    "tiny look-once": (lambda: LookOnce(LookOncePreset(width=8, pairs=4, message=8, rounds=2)), (3, 1, 7, 2)),
    "pointnet": (PointNet, (3, 1, 7, 2)),
    "published pointnet": (lambda: PointNet("linear", 7), (3, 1, 7, 2)),
    "equivariant pointnet": (lambda: PointNet("equivariant"), (3, 1, 7, 2)),
    "tiny grading": (lambda: Grading(TINY_GRADING), (3, 1, 5, 32, 48)),
    **{f"compact {name}": (partial(build, name, "compact"), (3, 1, 64, 64)) for name in DISC_NETWORKS},
}


def lively(module: nn.Module) -> nn.Module:
    """Evaluation mode with statistics, scales and signs as training leaves them, not those of a fresh module."""
    generator = torch.Generator().manual_seed(7)
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.running_mean.normal_(0, 0.2, generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(layer.weight, -1, 1.5, generator=generator)
            nn.init.normal_(layer.bias, 0, 0.2, generator=generator)
    return module.eval()


def random_input(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("case", CASES)
def test_a_batch_gives_what_its_items_give_one_by_one(case: str) -> None:
    make, shape = CASES[case]
    torch.manual_seed(0)
    module, x = lively(make()), random_input(shape)
    with torch.inference_mode():
        together = module(x)
        apart = torch.cat([module(item[None]) for item in x])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4 * float(together.std()))


@pytest.mark.parametrize("case", CASES)
def test_the_input_is_not_changed(case: str) -> None:
    make, shape = CASES[case]
    x = random_input(shape)
    before = x.clone()
    with torch.inference_mode():
        lively(make())(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_reaches_every_parameter(case: str) -> None:
    make, shape = CASES[case]
    torch.manual_seed(0)
    module = make().train()
    module(random_input(shape)).square().mean().backward()
    silent = [name for name, p in module.named_parameters() if p.grad is None]
    assert silent == []


def test_the_vfr_maps_have_the_resolution_of_the_slice() -> None:
    with torch.inference_mode():
        maps = Vfr(COMPACT).eval()(random_input((1, 1, 96, 160)))
    assert maps.shape == (1, OUTPUT_CHANNELS, 96, 160)


def test_convolving_before_resizing_equals_the_published_order() -> None:
    block = lively(_UpBlock(6, 3, 4, 2))
    x, skip = random_input((2, 6, 8, 12)), random_input((2, 3, 16, 24), seed=1)
    with torch.inference_mode():
        published = block.conv_block_2(block.conv_block_1(torch.cat((block.upsample(x), skip), dim=1)))
        torch.testing.assert_close(block(x, skip), published, rtol=1e-4, atol=1e-5)


def test_the_compact_vfr_stays_within_its_cost() -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        module = Vfr(COMPACT).eval()
        module(torch.empty(1, 1, 256, 256))
    assert counter.get_total_flops() / 2 <= 1.3e9  # multiply-adds of a slice of 256 x 256
    assert sum(p.numel() for p in module.parameters()) <= 4.1e6


def test_the_compact_appearance_network_stays_within_its_cost() -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        module = Appearance(COMPACT_APPEARANCE).eval()
        module(torch.empty(1, 1, 64, 64, 8))
    assert counter.get_total_flops() / 2 <= 0.25e9
    assert sum(p.numel() for p in module.parameters()) <= 1.7e6


def test_the_context_network_is_blind_to_how_many_levels_there_are() -> None:
    torch.manual_seed(0)
    module = lively(Context())
    wide = random_input((1, 1, 32, 60))
    with torch.inference_mode():
        # each of the eight convolutions sees one column on either side, so 9 columns in the padding is out of reach
        torch.testing.assert_close(module(wide)[..., :20], module(wide[..., :30])[..., :20], rtol=1e-4, atol=1e-5)


def test_gradings_come_apart_in_the_order_of_their_heads() -> None:
    logits = torch.arange(30.0)[None]
    parts = split_gradings(logits)
    assert list(parts) == [head.name for head in SPINENET_HEADS]
    assert torch.equal(torch.cat(list(parts.values()), dim=1), logits)
    assert parts["spondylolisthesis"].tolist() == [[13.0, 14.0, 15.0]]


@pytest.mark.parametrize(("shape", "said"), [((1, 1, 48, 64), "multiples of 32"), ((1, 3, 64, 64), r"\(B, 1, H, W\)")])
def test_the_vfr_refuses_other_slices(shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Vfr(TINY_VFR)(torch.zeros(shape))


def test_the_appearance_network_refuses_a_crop_of_another_size() -> None:
    with pytest.raises(SettingError, match=r"\(64, 64, 8\)"):
        Appearance()(torch.zeros(1, 1, 64, 64, 16))


def test_the_context_network_refuses_a_height_it_cannot_halve() -> None:
    with pytest.raises(SettingError, match="multiple of 16"):
        Context()(torch.zeros(1, 1, 40, 24))


def test_the_grading_network_refuses_a_plane() -> None:
    with pytest.raises(SettingError, match=r"\(B, 1, S, H, W\)"):
        Grading(TINY_GRADING)(torch.zeros(1, 1, 32, 48))


def test_presets_out_of_range_are_refused() -> None:
    with pytest.raises(SettingError, match="at least 1"):
        replace(COMPACT, stem_width=0)
    with pytest.raises(SettingError, match="1 or 2"):
        replace(COMPACT, decoder_convs=(2, 2, 2, 2, 3))
    with pytest.raises(SettingError, match="5 layers"):
        AppearancePreset(crop=(64, 64, 8), layers=(ConvLayer(channels=4),))
    with pytest.raises(SettingError, match="too small"):
        replace(COMPACT_APPEARANCE, crop=(4, 4, 1))
    with pytest.raises(SettingError, match="different keys"):
        GradingPreset(heads=(SPINENET_HEADS[0], SPINENET_HEADS[0]))
    with pytest.raises(SettingError, match="at least 1"):
        GradingPreset(blocks=(0, 1, 1, 1))
