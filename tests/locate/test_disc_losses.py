"""Losses of disc networks: equal to their equations by loops, and blind to what is not supervised."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from spondyl.locate.disc_losses import heat_loss, prototype_contrast

CHANNELS, ROWS, COLUMNS = 4, 5, 6
PEAKS = ((0, 0, (1, 1)), (0, 2, (3, 4)), (1, 0, (2, 2)))
"""Image, channel and place of each disc; the last channel is of posterior edges, channel 1 has no disc."""


def draw_target() -> Tensor:
    rows, columns = torch.arange(float(ROWS))[:, None], torch.arange(float(COLUMNS))
    target = torch.zeros(2, CHANNELS, ROWS, COLUMNS)
    for image, channel, (row, column) in PEAKS:
        target[image, channel] = torch.exp(-((rows - row) ** 2 + (columns - column) ** 2))
    target[:, -1] = 0.9  # posterior edges are no class
    return target


def random_maps(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) - 0.3


EVERYWHERE = torch.ones(2, 1, ROWS, COLUMNS, dtype=torch.bool)


def all_but_a_corner() -> Tensor:
    supervised = EVERYWHERE.clone()
    supervised[0, 0, :3, :3] = False
    return supervised


def test_the_heat_loss_is_the_squared_error_over_the_squared_target() -> None:
    heat, target, supervised = random_maps(2, CHANNELS, ROWS, COLUMNS), draw_target(), all_but_a_corner()
    errors = squares = 0.0
    for image, channel, row, column in product(range(2), range(CHANNELS), range(ROWS), range(COLUMNS)):
        if supervised[image, 0, row, column]:
            at = (image, channel, row, column)
            errors += float(heat[at] - target[at]) ** 2
            squares += float(target[at]) ** 2
    assert float(heat_loss(heat, target, supervised)) == pytest.approx(errors / squares, rel=1e-5)


def test_the_heat_loss_is_1_without_heat_and_0_where_it_is_right() -> None:
    target = draw_target()
    assert float(heat_loss(torch.zeros_like(target), target, EVERYWHERE)) == pytest.approx(1)
    assert float(heat_loss(target, target, EVERYWHERE)) == 0


@pytest.mark.parametrize("loss", [heat_loss, prototype_contrast])
def test_what_is_not_supervised_changes_no_loss(loss) -> None:
    predicted, supervised = random_maps(2, CHANNELS, ROWS, COLUMNS), all_but_a_corner()
    other = predicted + 5 * ~supervised
    target = draw_target()
    assert float(loss(other, target, supervised)) == pytest.approx(float(loss(predicted, target, supervised)))
    assert float(loss(other, target, EVERYWHERE)) != pytest.approx(float(loss(predicted, target, EVERYWHERE)))


def test_channels_can_be_supervised_one_by_one() -> None:
    heat, target = random_maps(2, CHANNELS, ROWS, COLUMNS), draw_target()
    known = torch.ones(2, CHANNELS, 1, 1)
    known[0, 1] = known[1, 2] = 0
    other = heat + 5 * (1 - known)
    assert float(heat_loss(other, target, known)) == pytest.approx(float(heat_loss(heat, target, known)))


def test_a_batch_without_a_disc_has_a_finite_loss() -> None:
    heat, target = random_maps(2, CHANNELS, ROWS, COLUMNS), torch.zeros(2, CHANNELS, ROWS, COLUMNS)
    assert heat_loss(heat, target, EVERYWHERE).isfinite()
    assert float(prototype_contrast(heat, target, EVERYWHERE)) == 0


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def contrast_by_loops(embeddings: Tensor, target: Tensor, supervised: Tensor, temperature: float) -> float:
    """L_align + beta L_proto over all places of discs and as many, evenly spread, of the background."""
    members: dict[int, list[list[float]]] = {}
    background = []
    for image, row, column in product(range(2), range(ROWS), range(COLUMNS)):
        if not supervised[image, 0, row, column]:
            continue
        vector = embeddings[image, :, row, column].tolist()
        vector = [x / math.hypot(*vector) for x in vector]
        heats = target[image, :-1, row, column].tolist()
        if max(heats) > 0.3:
            members.setdefault(heats.index(max(heats)), []).append(vector)
        elif max(heats) < 0.05:
            background.append(vector)
    count = min(sum(map(len, members.values())), len(background))
    step = (len(background) - 1) / (count - 1)
    members[-1] = [background[int(k * step + 1e-6)] for k in range(count)]
    prototypes = {k: [sum(axis) / len(of) for axis in zip(*of, strict=True)] for k, of in members.items()}
    losses = []
    for k, of in members.items():
        for place in of:
            near = {j: math.exp(cosine(place, c) / temperature) for j, c in prototypes.items()}
            losses.append(-math.log(near[k] / sum(near.values())))
    pairs = [max(0.0, cosine(prototypes[k], prototypes[j])) for k in members for j in members if k != j]
    return sum(losses) / len(losses) + 0.5 * sum(pairs) / len(pairs)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 0.2])
def test_the_contrast_is_that_of_the_equations(temperature: float) -> None:
    embeddings, target, supervised = random_maps(2, 3, ROWS, COLUMNS, seed=1), draw_target(), all_but_a_corner()
    expected = contrast_by_loops(embeddings, target, supervised, temperature)
    got = prototype_contrast(embeddings, target, supervised, temperature=temperature)
    assert float(got) == pytest.approx(expected, rel=1e-4)


def test_the_contrast_knows_directions_only() -> None:
    embeddings, target = random_maps(2, 3, ROWS, COLUMNS), draw_target()
    lengths = 0.1 + random_maps(2, 1, ROWS, COLUMNS, seed=2).abs()
    first, second = (float(prototype_contrast(e, target, EVERYWHERE)) for e in (embeddings, embeddings * lengths))
    assert first == pytest.approx(second, rel=1e-4)


def test_classes_that_keep_apart_have_nearly_no_contrast_and_one_direction_for_all_the_most() -> None:
    target = draw_target()
    hottest, disc = target[:, :-1].max(1)
    classes = torch.where(hottest > 0.3, disc, CHANNELS - 1)
    apart = torch.nn.functional.one_hot(classes, CHANNELS).permute(0, 3, 1, 2).float()
    assert float(prototype_contrast(apart, target, EVERYWHERE)) < 1e-3
    alike = torch.ones(2, 3, ROWS, COLUMNS)
    assert float(prototype_contrast(alike, target, EVERYWHERE)) == pytest.approx(math.log(3) + 0.5, rel=1e-4)


def test_steps_down_the_contrast_bring_it_down() -> None:
    embeddings, target = random_maps(2, 3, ROWS, COLUMNS).requires_grad_(), draw_target()
    losses = []
    for _ in range(30):
        loss = prototype_contrast(embeddings, target, EVERYWHERE)
        (gradient,) = torch.autograd.grad(loss, embeddings)
        embeddings = (embeddings - gradient).detach().requires_grad_()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
