"""Training stops and goes on as if it had not stopped."""

import csv
import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as nnf

from spondyl.errors import SettingError
from spondyl.learn.trainer import Recipe, Stream, fit


class Numbers(Stream[torch.Tensor]):
    """Eight random numbers; the lights go out before batch `until`."""

    def __init__(self, seed: int = 0, until: int | None = None) -> None:
        super().__init__(seed)
        self.until, self.drawn = until, []

    def draw(self, rng):
        if len(self.drawn) + self.first == self.until:
            raise KeyError("power cut")
        values = torch.as_tensor(rng.normal(size=(8, 1)), dtype=torch.float32)
        self.drawn.append(values)
        return values


class Doubling(Recipe):
    """Learns to double a number."""

    def training_step(self, batch, _index):
        loss = nnf.mse_loss(self.network(batch).float(), 2 * batch)
        self.log("loss", loss)
        return loss


def recipe(steps: int) -> Doubling:
    torch.manual_seed(0)
    return Doubling(nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)), steps=steps, learning_rate=0.05)


def steps_of(run) -> list[int]:
    return [int(row["step"]) for row in csv.DictReader((run / "metrics.csv").read_text().splitlines())]


def losses_of(run) -> list[float]:
    return [float(row["loss"]) for row in csv.DictReader((run / "metrics.csv").read_text().splitlines())]


def weights(trained: Recipe) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in trained.network.parameters()])


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run of 30 steps without a stop."""
    run = tmp_path_factory.mktemp("straight")
    trained, stream = recipe(30), Numbers()
    fit(trained, stream, run, steps_per_checkpoint=10)
    return trained, stream, run


@pytest.fixture(scope="module")
def broken(straight, tmp_path_factory):
    """The same run, cut at step 25 and resumed from its checkpoint at step 20."""
    run = tmp_path_factory.mktemp("broken")
    with pytest.raises(KeyError, match="power cut"):
        fit(recipe(30), Numbers(until=26), run, steps_per_checkpoint=10)
    trained, stream = recipe(30), Numbers()
    fit(trained, stream, run, steps_per_checkpoint=10)
    return trained, stream, run


def test_a_resumed_run_ends_with_the_weights_of_one_that_never_stopped(straight, broken):
    torch.testing.assert_close(weights(broken[0]), weights(straight[0]), atol=0, rtol=0)
    assert (weights(straight[0]) - weights(recipe(30))).abs().max() > 0.01


def test_a_resumed_stream_goes_on_where_the_checkpoint_was(straight, broken):
    for resumed, expected in zip(broken[1].drawn[:10], straight[1].drawn[20:30], strict=True):
        torch.testing.assert_close(resumed, expected, atol=0, rtol=0)


def test_the_loss_file_holds_every_session_once(straight, broken):
    assert steps_of(straight[2]) == [9, 19, 29]
    assert steps_of(broken[2]) == [9, 19, 29]
    assert losses_of(broken[2]) == losses_of(straight[2])


def test_the_network_ends_with_the_average_of_its_weights(straight):
    trained, _, run = straight
    checkpoint = torch.load(run / "last.ckpt", weights_only=True)
    for name, value in checkpoint["state_dict"].items():
        torch.testing.assert_close(trained.state_dict()[name], value, atol=0, rtol=0)
    last = checkpoint["current_model_state"]
    assert any((last[name] - trained.state_dict()[name]).abs().max() > 1e-4 for name in last)


def test_a_finished_run_gives_its_weights_again_without_training(straight):
    trained, _, run = straight
    again, stream = recipe(30), Numbers()
    fit(again, stream, run)
    torch.testing.assert_close(weights(again), weights(trained), atol=0, rtol=0)
    assert stream.drawn == []
    assert steps_of(run) == [9, 19, 29]


def test_another_number_of_steps_is_refused_because_the_schedule_is_fixed(straight):
    with pytest.raises(SettingError, match="begun for 30 steps, not 40"):
        fit(recipe(40), Numbers(), straight[2])


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing():
    learner = recipe(100)
    plan = learner.configure_optimizers()
    optimizer, schedule = plan["optimizer"], plan["lr_scheduler"]["scheduler"]
    assert plan["lr_scheduler"]["interval"] == "step"
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(rates) < 100:
            schedule.step()
    assert int(np.argmax(rates)) == 4  # 5 % of the steps
    assert max(rates) == pytest.approx(0.05)
    assert rates[-1] < 1e-6
    assert all(a <= b for a, b in itertools.pairwise(rates[:5]))
    assert all(a >= b for a, b in itertools.pairwise(rates[4:]))


def test_batches_depend_on_seed_and_index_alone():
    whole = list(itertools.islice(Numbers(3), 5))
    resumed = Numbers(3)
    resumed.first = 3
    torch.testing.assert_close(next(iter(resumed)), whole[3], atol=0, rtol=0)
    assert len({float(batch[0, 0]) for batch in whole}) == 5
    assert float(next(iter(Numbers(4)))[0, 0]) != float(whole[0][0, 0])
