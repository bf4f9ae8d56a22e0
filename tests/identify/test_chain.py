"""Vertebrae and discs as one chain: against full enumeration, and what each kind says about the other."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import Numbering
from spondyl.anatomy.spacing import VID
from spondyl.identify.costs import OrderCosts
from spondyl.identify.misses import MissRates
from spondyl.identify.order import decode_chain
from spondyl.identify.weights import REFERENCE_SD_MM, STUDENT_DEGREES, Detections
from spondyl.labelling import DISCS

SMALL = (
    Numbering(name="plain", levels=(Level.T11, Level.T12, Level.L1, Level.L2), prior=0.6),
    Numbering(name="short", levels=(Level.T11, Level.L1, Level.L2), prior=0.3),
    Numbering(name="long", levels=(Level.T11, Level.T12, Level.T13, Level.L1), prior=0.2),
)
COLUMNS = (Level.L2, Level.L1, Level.T12, Level.T11)
SMALL_DISC_COLUMNS = (Level.T12, Level.L1, Level.L2)


@dataclass(frozen=True)
class Mark:
    """A place on the chain of one variant: a vertebra, or the disc above it."""

    is_disc: bool
    at: int

    @property
    def place(self) -> float:
        return self.at - 0.5 * self.is_disc


def mean_and_variance(levels, upper, lower):
    """Distance between two marks; within a pair of vertebrae distances vary together."""
    mean = variance = 0.0
    for at in range(len(levels) - 1):
        share = max(0.0, min(lower.place, at + 1) - max(upper.place, at))
        pair = VID.between(levels[at], levels[at + 1])
        mean, variance = mean + share * pair.mean_mm, variance + (share * pair.sd_mm) ** 2
    return mean, variance


def reaches(upper, lower, costs):
    """Whether one step may lead from a mark to another."""
    limit = costs.max_skipped if upper.is_disc and not lower.is_disc else costs.max_skipped + 1
    return upper.place < lower.place and lower.at - upper.at <= limit


def miss_rate(levels, mark, costs):
    return costs.disc_miss if mark.is_disc else costs.misses.of(levels[mark.at])


def probability_of(rows, columns, temperature, costs):
    p = np.exp(np.asarray(rows) / temperature)
    p = p / p.sum(1, keepdims=True) * len(columns)
    p = (1 - costs.outlier_probability) * p + costs.outlier_probability
    return lambda i, level: p[i, columns.index(Level.T12 if level is Level.T13 else level)]


def enumerate_chain(found, costs):
    """Weight of every (names, variant, size), written from the model's description, with what it passes over."""
    order = sorted(
        (depth, kind, i)
        for kind, those in enumerate(found)
        if those is not None
        for i, depth in enumerate(those.depths_mm)
    )
    kinds = {kind for _, kind, _ in order}
    look = {
        0: probability_of(found[0].log_probabilities, COLUMNS, costs.temperature, costs) if 0 in kinds else None,
        1: probability_of(found[1].log_probabilities, SMALL_DISC_COLUMNS, costs.disc_temperature, costs)
        if 1 in kinds
        else None,
    }
    size_prior = np.exp(-0.5 * ((np.log(costs.sizes) - costs.size_mean) / costs.size_sd) ** 2)
    size_prior /= size_prior.sum()
    for variant, (g, size) in itertools.product(SMALL, enumerate(costs.sizes)):
        levels = variant.levels
        chain = [Mark(False, at) for at in range(len(levels))] + [Mark(True, at) for at in range(1, len(levels))]
        sought = [mark for mark in chain if int(mark.is_disc) in kinds]
        options = [[None, *(mark for mark in chain if int(mark.is_disc) == kind)] for _, kind, _ in order]
        for marks in itertools.product(*options):
            chosen = [(kind, i, mark) for (_, kind, i), mark in zip(order, marks, strict=True) if mark is not None]
            if any(not reaches(a[2], b[2], costs) for a, b in itertools.pairwise(chosen)):
                continue
            log_w = np.log(variant.prior / 1.1 * size_prior[g])
            for (_, kind, i), mark in zip(order, marks, strict=True):
                score = min(max(found[kind].scores[i], 0.02), 0.98)
                if mark is None:
                    log_w -= costs.rejection + costs.rejection_per_logit * np.log(score / (1 - score))
                else:
                    log_w += np.log(look[kind](i, levels[mark.at]))
            passed = []
            for (kind, i, upper), (other, j, lower) in itertools.pairwise(chosen):
                mean, variance = mean_and_variance(levels, upper, lower)
                sd = np.hypot(size * VID.within_patient * np.sqrt(variance), costs.localisation_mm)
                apart = np.linalg.norm(found[kind].positions_mm[i] - found[other].positions_mm[j])
                z = (apart - size * mean) / sd
                density = -(STUDENT_DEGREES + 1) / 2 * np.log(1 + z * z / STUDENT_DEGREES)
                log_w += costs.spacing * (density - np.log(sd / REFERENCE_SD_MM))
                between = [mark for mark in sought if upper.place < mark.place < lower.place]
                log_w += sum(np.log(miss_rate(levels, mark, costs)) for mark in between)
                passed += [
                    levels[mark.at] for mark in chain if not mark.is_disc and upper.place < mark.place < lower.place
                ]
            if chosen:
                for end, (kind, i, last) in enumerate((chosen[0], chosen[-1])):
                    for mark in sought:
                        pair = (last, mark) if end else (mark, last)
                        if reaches(*pair, costs):
                            distance = size * mean_and_variance(levels, *pair)[0]
                            between = distance / abs(mark.place - last.place)
                            room = found[kind].room_mm[i, end]
                            depth = (room - distance - 0.1 * between) / np.hypot(0.06 * distance, 0.1 * between)
                            log_w += np.log(1 - norm.cdf(depth) * (1 - miss_rate(levels, mark, costs)))
            names = tuple(
                None
                if mark is None
                else Disc(levels[mark.at - 1], levels[mark.at])
                if mark.is_disc
                else levels[mark.at]
                for mark in marks
            )
            yield names, order, np.exp(log_w), passed


def detections(rng, n, columns, depths):
    heights = np.stack([rng.normal(0, 4, n), rng.normal(0, 4, n), -depths], axis=1)
    return Detections(
        log_probabilities=rng.normal(size=(n, columns)) * rng.choice([0.0, 1.0, 5.0]),
        scores=rng.uniform(0, 1, n),
        positions_mm=heights,
        depths_mm=depths,
        room_mm=rng.uniform(0, 80, (n, 2)),
    )


@st.composite
def cases(draw):
    kinds = draw(st.lists(st.booleans(), max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    depths = np.cumsum(rng.uniform(5, 40, len(kinds)))
    is_disc = np.array(kinds, dtype=bool)
    bodies = detections(rng, int((~is_disc).sum()), 4, depths[~is_disc])
    discs = detections(rng, int(is_disc.sum()), 3, depths[is_disc])
    costs = OrderCosts(
        temperature=draw(st.sampled_from([1.0, 2.0])),
        disc_temperature=draw(st.sampled_from([1.0, 3.0])),
        misses=draw(st.sampled_from([MissRates(), MissRates(thoracic=0.3, lumbar=0.6)])),
        disc_miss=draw(st.sampled_from([0.05, 0.5])),
        max_skipped=draw(st.integers(0, 2)),
        rejection=draw(st.sampled_from([-1.0, 1.0, 4.0])),
        spacing=draw(st.sampled_from([0.0, 0.3, 1.0])),
        sizes=draw(st.sampled_from([(1.0,), (0.9, 1.1)])),
    )
    return bodies, discs, costs


@given(cases())
@settings(max_examples=40, deadline=None)
def test_marginals_answers_and_missed_levels_agree_with_full_enumeration(case):
    bodies, discs, costs = case
    chain = decode_chain(
        bodies, discs, columns=COLUMNS, disc_columns=SMALL_DISC_COLUMNS, numberings=SMALL, costs=costs, best=3
    )
    weights = list(enumerate_chain((bodies, discs), costs))
    total = sum(weight for *_, weight, _ in weights)
    expected = np.zeros((len(bodies.scores), len(Level))), np.zeros((len(discs.scores), len(DISCS)))
    answers, missed = {}, {}
    for names, order, weight, passed in weights:
        answers[names] = answers.get(names, 0) + weight / total
        for level in passed:
            missed[level] = missed.get(level, 0) + weight / total
        for (_, kind, i), name in zip(order, names, strict=True):
            if name is not None:
                expected[kind][i, DISCS.index(name) if kind else name.rank] += weight / total
    for labelling, marginals in zip((chain.vertebrae, chain.discs), expected, strict=True):
        np.testing.assert_allclose(labelling.marginals, marginals, atol=1e-9)
        np.testing.assert_allclose(labelling.rejected, 1 - marginals.sum(1), atol=1e-9)
    for level in Level:
        assert chain.vertebrae.missed.get(level, 0) == pytest.approx(missed.get(level, 0), abs=1e-9)
    order = weights[0][1]
    joint = [tuple((chain.vertebrae, chain.discs)[kind].levels[i] for _, kind, i in order)]
    assert np.exp(chain.vertebrae.log_probability) == pytest.approx(answers[joint[0]], rel=1e-9)
    assert sum(chain.vertebrae.numberings.values()) == pytest.approx(1)
