"""Networks that locate discs: their contract, their formulas computed a second way, and the papers' sizes."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as nnf
from torch.utils.flop_counter import FlopCounterMode

from spondyl.errors import SettingError
from spondyl.nets import (
    attention_hourglass,
    countception,
    hca_net,
    hourglass,
    msa_net,
    shape_unet,
    swin_net,
    unet,
)
from spondyl.nets.hourglass import Hourglass, HourglassPreset
from spondyl.nets.presets import NETWORKS, build

STRIDES = {
    "unet": 1,
    "shape-unet": 1,
    "hourglass": 4,
    "attention-hourglass": 4,
    "hca-net": 4,
    "msa-net": 4,
    "countception": 4,
    "swin-net": 4,
}
STAGES = {"hourglass": 2, "attention-hourglass": 2, "hca-net": 2, "msa-net": 2}


def random_maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("name", STRIDES)
def test_heat_lies_between_0_and_1_at_the_stride_and_training_sees_what_analysis_gets(name: str) -> None:
    torch.manual_seed(0)
    module, images = build(name, "compact").eval(), random_maps(2, 1, 64, 128)
    with torch.inference_mode():
        heat, predicted = module(images), module.predict(images)
    stride = STRIDES[name]
    assert heat.shape == (2, 24, 64 // stride, 128 // stride)
    assert 0 <= heat.min() < heat.max() <= 1
    assert torch.equal(heat, predicted.heat[-1])
    assert [stage.shape for stage in predicted.heat] == [heat.shape] * STAGES.get(name, 1)


@pytest.mark.parametrize("name", STRIDES)
def test_the_loss_of_every_stage_and_embedding_reaches_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    module = build(name, "compact").train()
    predicted = module.predict(random_maps(2, 1, 64, 64))
    outputs = [*predicted.heat, *([] if predicted.embeddings is None else [predicted.embeddings])]
    sum(output.square().mean() for output in outputs).backward()
    assert [key for key, p in module.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


@pytest.mark.parametrize("name", STRIDES)
def test_a_fresh_network_predicts_little_heat(name: str) -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        assert build(name, "compact").eval()(random_maps(1, 1, 64, 64)).mean() < 0.2


def test_heat_of_a_disc_is_that_of_any_disc_times_the_probability_of_its_name() -> None:
    scores = 4 * random_maps(2, 25, 3, 3) - 2
    heat = Hourglass(hourglass.COMPACT).to_heat(scores)
    assert heat.shape == (2, 24, 3, 3)
    for image, row, column in product(range(2), range(3), range(3)):
        disc, edge, *names = scores[image, :, row, column].tolist()
        total = sum(math.exp(name) for name in names)
        expected = [*(sigmoid(disc) * math.exp(name) / total for name in names), sigmoid(edge)]
        assert heat[image, :, row, column].tolist() == pytest.approx(expected, rel=1e-5)


def test_the_papers_maps_have_a_sigmoid_each() -> None:
    scores = random_maps(1, 11, 2, 2)
    assert torch.equal(Hourglass(hourglass.PAPER).to_heat(scores), torch.sigmoid(scores))


@pytest.mark.parametrize("name", STRIDES)
def test_compact_sizes_stay_within_their_cost(name: str) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        module = build(name, "compact").eval()
        module(torch.empty(1, 1, 256, 256))
    assert counter.get_total_flops() / 2 <= 3e9  # multiply-adds of an image of 256 x 256
    assert parameters(module) <= 0.75e6


def hourglass_of(kind: type[Hourglass], preset: HourglassPreset) -> nn.Module:
    with torch.device("meta"):
        return kind(preset)


@pytest.mark.parametrize(
    ("kind", "preset", "published", "tolerance"),
    [
        (Hourglass, hourglass.PAPER, 6.567e6, 1e-3),
        (attention_hourglass.AttentionHourglass, hourglass.PAPER, 6.63e6, 1e-3),
        (Hourglass, HourglassPreset(stem_width=32, width=128, channels=11), 1.658e6, 1e-3),
        (msa_net.MsaNet, msa_net.PAPER, 2.96e6, 0.02),
    ],
)
def test_the_papers_sizes_have_the_papers_numbers_of_parameters(
    kind: type[Hourglass], preset: HourglassPreset, published: float, tolerance: float
) -> None:
    further_inputs = 2 * 7 * 7 * preset.stem_width  # the papers repeat the image in three channels
    assert parameters(hourglass_of(kind, preset)) + further_inputs == pytest.approx(published, rel=tolerance)


def test_the_encoder_of_swin_net_has_the_size_of_swin_tiny() -> None:
    with torch.device("meta"):
        module = swin_net.SwinNet(swin_net.PAPER)
    # 28.29 million with the classifier of 1000 classes (Liu et al. 2021, table 1)
    published = 28.29e6 - 769e3
    assert parameters(module) - parameters(module.decoder) == pytest.approx(published, rel=0.002)


def test_every_paper_size_has_the_papers_channels() -> None:
    modules = {network: entry for network, entry in NETWORKS.items() if network in STRIDES}
    for network in modules:
        with torch.device("meta"):
            heat = build(network, "paper").eval()(torch.empty(1, 1, 64, 64))
        assert heat.shape[1] == (1 if network == "countception" else 11)


def test_attention_of_one_everywhere_leaves_the_plain_hourglass() -> None:
    torch.manual_seed(0)
    preset = HourglassPreset(stem_width=4, width=32, depth=2, channels=3)
    attended = attention_hourglass.AttentionHourglass(preset).eval()
    nn.init.constant_(attended.attention[-2].bias, 30.0)
    plain = Hourglass(preset).eval()
    plain.load_state_dict({k: v for k, v in attended.state_dict().items() if not k.startswith("attention")})
    images = random_maps(1, 1, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(attended(images), plain(images))


def test_msa_net_without_its_attention_is_the_plain_hourglass_with_one_head_over_all_features() -> None:
    torch.manual_seed(0)
    preset = msa_net.MsaPreset(stem_width=4, width=16, depth=2, channels=3, has_attention=False)
    msa, plain = msa_net.MsaNet(preset).eval(), Hourglass(preset).eval()
    missing, unexpected = plain.load_state_dict(msa.state_dict(), strict=False)
    assert {key.split(".")[0] for key in (*missing, *unexpected)} == {"scores", "head"}
    images = random_maps(1, 1, 32, 32)
    with torch.inference_mode():
        predicted, features = msa.predict(images), plain.stages(images)[0]
        assert torch.equal(predicted.heat[0], plain.predict(images).heat[0])
        assert torch.equal(predicted.heat[1], torch.sigmoid(msa.head(torch.cat(features[1:], 1))))
        assert torch.equal(predicted.embeddings, torch.cat([features[0], features[-1]], 1))


def excited_by_loops(features: Tensor) -> Tensor:
    """Equations 5 to 8 of MSA-Net for one image (channels, rows, columns): z, its normalisation, g, and g * F."""
    means = [sum(map(float, channel.flatten())) / channel.numel() for channel in features]
    mean = sum(means) / len(means)
    variance = sum((z - mean) ** 2 for z in means) / len(means)
    out = features.clone()
    for channel, z in enumerate(means):
        normalised = (z - mean) / math.sqrt(variance + 1e-5)
        out[channel] *= math.exp(-(normalised**2) / 2)
    return out


def test_gaussian_context_attention_is_that_of_the_equations() -> None:
    torch.manual_seed(1)
    module, x = msa_net.GaussianContextAttention(6), random_maps(2, 6, 4, 5)
    with torch.inference_mode():
        near, wide = module.local_path(x), module.wide_path(x)
        gate = module.gate(torch.cat([near, wide], 1))
        mixed = torch.zeros_like(near)
        for image in range(2):
            local, context = excited_by_loops(near[image]), excited_by_loops(wide[image])
            for at in product(*map(range, local.shape)):
                share = sigmoid(float(gate[image][at]))
                mixed[image][at] = share * local[at] + (1 - share) * context[at]
        torch.testing.assert_close(module(x), x + module.output(mixed), rtol=1e-4, atol=1e-5)


def test_the_mix_of_both_paths_lies_between_them() -> None:
    torch.manual_seed(2)
    module, x = msa_net.GaussianContextAttention(8), random_maps(3, 8, 6, 6)
    with torch.inference_mode():
        module.output.weight.copy_(torch.eye(8)[:, :4, None, None])
        module.output.bias.zero_()
        mixed = (module(x) - x)[:, :4]
        near, wide = msa_net.excite(module.local_path(x)), msa_net.excite(module.wide_path(x))
    assert (mixed >= torch.minimum(near, wide) - 1e-5).all()
    assert (mixed <= torch.maximum(near, wide) + 1e-5).all()


def test_excitation_keeps_the_usual_channel_and_damps_an_unusual_one() -> None:
    features = torch.stack([torch.full((3, 3), value) for value in (1.0, 3.0, 5.0)])[None]
    scale = (msa_net.excite(features) / features)[0, :, 0, 0]
    # the variance of the three means is 8 / 3
    assert scale.tolist() == pytest.approx([math.exp(-0.75), 1, math.exp(-0.75)], rel=1e-4)


def test_the_shape_signal_is_the_magnitude_of_the_sobel_gradient() -> None:
    image = random_maps(1, 1, 5, 6)
    padded = np.pad(image[0, 0].numpy().astype(float), 1, mode="edge")
    magnitude = np.zeros((5, 6))
    for row, column in product(range(5), range(6)):
        window = padded[row : row + 3, column : column + 3]
        down = window[2] @ [1, 2, 1] - window[0] @ [1, 2, 1]
        right = window[:, 2] @ [1, 2, 1] - window[:, 0] @ [1, 2, 1]
        magnitude[row, column] = math.hypot(down, right)
    expected = (magnitude - magnitude.min()) / (magnitude.max() - magnitude.min())
    np.testing.assert_allclose(shape_unet.measure_gradient(image)[0, 0], expected, atol=1e-5)


def test_an_image_without_edges_has_no_shape_signal() -> None:
    assert shape_unet.measure_gradient(torch.full((1, 1, 8, 8), 0.7)).abs().max() < 1e-3


WIDTHS = (2, 3, 4, 3, 2)
SMALL = shape_unet.ShapeUNetPreset(widths=WIDTHS, shape_width=4, reduction=2, grid=4)


def excited_by_two_layers(layers: nn.Sequential, vector: list[float]) -> list[float]:
    """Compute sigmoid(W2 relu(W1 v)) with biases, by loops."""
    first, _, second = layers
    hidden = [
        max(0.0, float(b) + sum(float(w) * v for w, v in zip(row, vector, strict=True)))
        for row, b in zip(first.weight, first.bias, strict=True)
    ]
    return [
        sigmoid(float(b) + sum(float(w) * h for w, h in zip(row, hidden, strict=True)))
        for row, b in zip(second.weight, second.bias, strict=True)
    ]


@pytest.mark.parametrize("spatial", ["connected", "convolved"])
def test_shape_attention_is_that_of_equations_1_and_2(spatial: str) -> None:
    torch.manual_seed(3)
    module = shape_unet.ShapeAttention(WIDTHS, replace(SMALL, spatial=spatial)).eval()
    nn.init.normal_(module.level_weights)
    image = random_maps(1, 1, 32, 32)
    features = [random_maps(1, width, 32 >> level, 32 >> level, seed=level) for level, width in enumerate(WIDTHS)]
    with torch.inference_mode():
        shape = module.shape_layers(shape_unet.measure_gradient(image))[0]
        places = list(product(range(4), range(4)))
        pooled = [sum(float(shape[(c, *at)]) for c in range(4)) / 4 for at in places]  # GAP over the channels
        if spatial == "connected":
            spatial_weights = dict(
                zip(places, excited_by_two_layers(module.spatial_weights.layers, pooled), strict=True)
            )
        else:
            scores = module.spatial_weights(torch.tensor(pooled).reshape(1, 1, 4, 4))[0, 0]
            spatial_weights = {at: sigmoid(float(scores[at])) for at in places}
        total = torch.zeros(4, 4, 4)
        for level, maps in enumerate(features):
            joined = nnf.adaptive_avg_pool2d(maps, 4) if level < 3 else nnf.interpolate(maps, size=(4, 4))
            aligned = module.alignments[level](joined)[0]
            means = [float(channel.mean()) for channel in aligned]  # GAP over the places
            channel_weights = excited_by_two_layers(module.channel_weights[level], means)
            for channel, at in product(range(4), places):
                value = spatial_weights[at] * channel_weights[channel] * aligned[(channel, *at)] + shape[(channel, *at)]
                total[(channel, *at)] += module.level_weights[level] * value
        torch.testing.assert_close(module(image, features)[0], torch.sigmoid(total), rtol=1e-4, atol=1e-5)


def test_connected_places_take_images_of_any_size() -> None:
    torch.manual_seed(0)
    module = shape_unet.ShapeUNet(replace(SMALL, spatial="connected")).eval()
    with torch.inference_mode():
        assert module(random_maps(1, 1, 64, 48)).shape == (1, 24, 64, 48)


def test_window_attention_is_that_of_its_equation() -> None:
    """Softmax(q k / sqrt(d) + B) v for each place over those of its window; beyond the border are zeros."""
    torch.manual_seed(4)
    preset = swin_net.SwinPreset(width=4, blocks=(1,), head_width=2, window=3)
    block = swin_net._Block(4, preset, is_shifted=False)
    nn.init.normal_(block.bias)
    x = random_maps(1, 4, 5, 4)
    with torch.inference_mode():
        got = block._attend(x)[0]
        for row, column in product(range(4), range(5)):
            top, left = row // 3 * 3, column // 3 * 3
            others = [(r, c) for r in range(top, top + 3) for c in range(left, left + 3)]
            vectors = [x[0, r, c] if r < 4 and c < 5 else torch.zeros(4) for r, c in others]
            query, _, _ = block.projection(x[0, row, column]).reshape(3, 2, 2)
            mixed = []
            for head in range(2):
                scores, values = [], []
                for (r, c), vector in zip(others, vectors, strict=True):
                    _, key, value = block.projection(vector).reshape(3, 2, 2)
                    bias = block.bias[head, (row - r + 2) * 5 + column - c + 2]
                    scores.append(math.exp(float(query[head] @ key[head] / math.sqrt(2) + bias)))
                    values.append(value[head])
                mixed.append(sum(s * v for s, v in zip(scores, values, strict=True)) / sum(scores))
            torch.testing.assert_close(got[row, column], block.output(torch.cat(mixed)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_shifted", [False, True])
def test_a_place_acts_within_its_window_only(is_shifted: bool) -> None:
    torch.manual_seed(5)
    block = swin_net._Block(4, swin_net.SwinPreset(width=4, blocks=(1,), head_width=2, window=4), is_shifted=is_shifted)
    x = random_maps(1, 8, 8, 4)
    changed = x.clone()
    changed[0, 5, 5, 0] += 1
    with torch.inference_mode():
        difference = (block(changed) - block(x)).abs().amax(-1)[0]
    start = 2 if is_shifted else 4
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[start : start + 4, start : start + 4] = True
    assert torch.equal(difference > 1e-7, expected)


def test_the_layers_of_countception_take_the_margin_away_again_evenly() -> None:
    narrow = replace(
        countception.PAPER,
        blocks=tuple(tuple((kernel, 1) for kernel, _ in block) for block in countception.PAPER.blocks),
        patch=tuple((kernel, 1) for kernel, _ in countception.PAPER.patch),
    )
    module = countception.Countception(narrow).eval()
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
            nn.init.zeros_(layer.bias)
    image = torch.zeros(1, 1, 141, 161)
    image[0, 0, 60, 90] = 1e3
    with torch.inference_mode():
        heat = module(image)[0, 0].double() - 0.5
    assert heat.shape == (141, 161)
    assert float(heat.sum(1) @ torch.arange(141.0).double() / heat.sum()) == pytest.approx(60, abs=0.01)
    assert float(heat.sum(0) @ torch.arange(161.0).double() / heat.sum()) == pytest.approx(90, abs=0.01)


def test_joints_are_drawn_again_at_their_place_or_not_at_all() -> None:
    rows, columns = torch.arange(20.0)[:, None], torch.arange(24.0)
    peaks = [torch.exp(-((rows - r) ** 2 + (columns - c) ** 2) / 2) for r, c in ((5.3, 7.0), (14.0, 18.5))]
    drawn = hca_net.redraw(torch.stack([peaks[0], 0.6 * peaks[1], 0.05 * peaks[0].flip(0)])[None])[0, 0]
    expected = torch.zeros(20, 24)
    for r, c in ((5.3, 7.0), (14.0, 18.5)):
        one = torch.exp(-((rows - r) ** 2 + (columns - c) ** 2) / (2 * 0.625))
        expected = torch.maximum(expected, one)
    torch.testing.assert_close(drawn, expected, rtol=0, atol=0.02)


def test_the_joints_of_the_first_hourglass_modulate_the_second() -> None:
    torch.manual_seed(6)
    module = hca_net.HcaNet(HourglassPreset(stem_width=4, width=16, depth=2, channels=3)).eval()
    images = random_maps(1, 1, 32, 32)
    with torch.inference_mode():
        nn.init.constant_(module.scores[0].bias, 3.0)
        before = module.predict(images)
        module.modulation.weight.mul_(5)
        after = module.predict(images)
    assert torch.equal(before.heat[0], after.heat[0])
    assert not torch.allclose(before.heat[1], after.heat[1])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: replace(hourglass.COMPACT, width=7),
        lambda: replace(hourglass.COMPACT, channels=0),
        lambda: replace(msa_net.COMPACT, depth=0),
        lambda: replace(unet.COMPACT, widths=(8, 16, 0, 64, 128)),
        lambda: replace(shape_unet.COMPACT, channels=0),
        lambda: replace(countception.COMPACT, patch=((7, 0),)),
        lambda: replace(swin_net.COMPACT, head_width=5),
    ],
)
def test_presets_out_of_range_are_refused(wrong) -> None:
    with pytest.raises(SettingError, match="at least 1"):
        wrong()
