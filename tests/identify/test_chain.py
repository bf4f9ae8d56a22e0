"""Vertebrae and discs as one chain: against full enumeration, and what each kind says about the other."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import REGULAR, Numbering
from spondyl.anatomy.spacing import VID
from spondyl.errors import SettingError
from spondyl.identify.costs import OrderCosts
from spondyl.identify.evidence import DISC_COLUMNS, OFFICIAL_COLUMNS
from spondyl.identify.misses import MissRates
from spondyl.identify.order import decode, decode_chain
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


LEVELS = REGULAR.levels


def column(first: Level, last: Level) -> tuple[list[Level], np.ndarray, list[Disc], np.ndarray]:
    """Levels, their depths, the discs above them, and their depths in a straight spine with published spacing."""
    levels = list(LEVELS[LEVELS.index(first) : LEVELS.index(last) + 1])
    depths = np.concatenate([[0], np.cumsum([VID.between(*pair).mean_mm for pair in itertools.pairwise(levels)])])
    return levels, depths, [Disc(*pair) for pair in itertools.pairwise(levels)], (depths[1:] + depths[:-1]) / 2


def candidates(depths, columns: int, *, logits=None, scores: float = 0.95) -> Detections:
    depths = np.asarray(depths, dtype=float)
    return Detections.from_arrays(
        np.zeros((len(depths), columns)) if logits is None else logits,
        np.full(len(depths), scores),
        np.outer(depths, (0.0, 0.0, -1.0)),
        depths_mm=depths,
    )


def certain_disc(count: int, at: int, lower: Level) -> np.ndarray:
    logits = np.zeros((count, 23))
    logits[at, DISC_COLUMNS.index(lower)] = 30.0
    return logits


def certain_body(count: int, at: int, level: Level) -> np.ndarray:
    logits = np.zeros((count, 24))
    logits[at, OFFICIAL_COLUMNS.index(level)] = 12.0
    return logits


def test_a_level_found_by_either_names_both():
    levels, depths, discs, disc_depths = column(Level.T12, Level.S1)
    by_disc = decode_chain(candidates(depths, 24), candidates(disc_depths, 23, logits=certain_disc(6, 5, Level.S1)))
    by_body = decode_chain(candidates(depths, 24, logits=certain_body(7, 0, Level.T12)), candidates(disc_depths, 23))
    for named in (by_disc, by_body):
        assert named.vertebrae.levels == tuple(levels)
        assert named.discs.levels == tuple(discs)
        assert min(named.vertebrae.level_probability.min(), named.discs.level_probability.min()) > 0.9


def test_weak_evidence_of_both_kinds_adds_up():
    _, depths, _, disc_depths = column(Level.L1, Level.L5)
    body_logits, disc_logits = certain_body(5, 2, Level.L3) / 4, certain_disc(4, 1, Level.L3) / 6
    alone = decode_chain(candidates(depths, 24, logits=body_logits), candidates(disc_depths, 23))
    both = decode_chain(candidates(depths, 24, logits=body_logits), candidates(disc_depths, 23, logits=disc_logits))
    assert both.vertebrae.level_probability[2] > alone.vertebrae.level_probability[2] + 0.05


def test_discs_are_numbered_where_no_body_is_outlined_and_bodies_where_no_disc_is_found():
    levels, depths, discs, disc_depths = column(Level.T10, Level.S1)
    bodies = candidates(depths[4:], 24, logits=certain_body(5, 4, Level.S1))
    named = decode_chain(bodies, candidates(disc_depths[:5], 23))
    assert named.vertebrae.levels == tuple(levels[4:])
    assert named.discs.levels == tuple(discs[:5])


def test_discs_alone_are_numbered_and_no_vertebra_is_missed():
    *_, discs, disc_depths = column(Level.T10, Level.S1)
    found = candidates(disc_depths, 23, logits=certain_disc(8, 7, Level.S1))
    alone = decode_chain(None, found)
    assert alone.vertebrae is None
    assert alone.discs.levels == tuple(discs)
    none = decode_chain(candidates([], 24), found)
    assert none.vertebrae.levels == ()
    np.testing.assert_array_equal(none.discs.marginals, alone.discs.marginals)


def test_without_discs_the_bodies_are_named_as_ever():
    _, depths, _, _ = column(Level.T10, Level.S1)
    logits = np.random.default_rng(0).normal(size=(len(depths), 24))
    bodies = candidates(depths, 24, logits=logits)
    alone = decode(logits, bodies.scores, bodies.positions_mm)
    for discs in (None, candidates([], 23)):
        with_none = decode_chain(bodies, discs).vertebrae
        assert with_none.sequences == alone.sequences
        np.testing.assert_array_equal(with_none.marginals, alone.marginals)


def test_a_crushed_body_that_was_not_found_is_noticed_by_its_discs():
    """Between T12 and L2 are 54 mm, too little for two distances and too much for one; the discs are both there."""
    levels, depths, discs, disc_depths = column(Level.T10, Level.S1)
    lost = levels.index(Level.L1)
    shift = np.where(np.arange(len(levels)) > lost, 13.0, 0.0)
    disc_shift = np.where(np.arange(len(discs)) > lost - 1, 13.0, 0.0)
    kept = [i for i in range(len(levels)) if i != lost]
    logits = certain_body(len(kept), len(kept) - 1, Level.S1)
    bodies = candidates((depths - shift)[kept], 24, logits=logits)
    alone = decode_chain(bodies, None).vertebrae
    both = decode_chain(bodies, candidates(disc_depths - disc_shift, 23))
    assert both.vertebrae.missed[Level.L1] > 0.95 > alone.missed[Level.L1]
    assert both.vertebrae.levels == tuple(levels[i] for i in kept)
    assert both.discs.levels == tuple(discs)


def test_a_false_disc_inside_a_body_is_rejected():
    levels, depths, discs, disc_depths = column(Level.L1, Level.S1)
    with_false = np.sort([*disc_depths, depths[2] + 2.0])
    place = int(np.searchsorted(disc_depths, depths[2] + 2.0))
    named = decode_chain(candidates(depths, 24, logits=certain_body(6, 5, Level.S1)), candidates(with_false, 23))
    assert named.vertebrae.levels == tuple(levels)
    assert named.discs.levels == (*discs[:place], None, *discs[place:])
    assert named.discs.rejected[place] > 0.9


def test_discs_that_contradict_the_bodies_are_outvoted_and_doubted():
    """One disc that a network takes for the next one is named by its place; its probability is lower for it."""
    _, depths, discs, disc_depths = column(Level.L1, Level.S1)
    bodies = candidates(depths, 24, logits=certain_body(6, 5, Level.S1))
    agreeing = decode_chain(bodies, candidates(disc_depths, 23, logits=certain_disc(5, 2, discs[2].lower) / 3))
    contrary = decode_chain(bodies, candidates(disc_depths, 23, logits=certain_disc(5, 2, discs[3].lower) / 3))
    assert contrary.discs.levels == tuple(discs)
    assert contrary.discs.level_probability[2] < agreeing.discs.level_probability[2]


def test_a_whole_spine_with_all_discs_takes_little_time():
    """50 ms of processor time is the aim on an idle core; the bound leaves room for a busy machine."""
    _, depths, _, disc_depths = column(Level.C2, Level.S1)
    rng = np.random.default_rng(0)
    bodies = candidates(depths, 24, logits=rng.normal(size=(len(depths), 24)))
    discs = candidates(disc_depths, 23, logits=rng.normal(size=(len(disc_depths), 23)))
    decode_chain(bodies, discs)
    times = []
    for _ in range(5):
        start = time.process_time()
        decode_chain(bodies, discs)
        times.append(time.process_time() - start)
    assert min(times) < 0.25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_probabilities": np.zeros((3, 23))}, "3 candidates need scores"),
        ({"depths_mm": np.zeros(3)}, "2 candidates need scores"),
        ({"depths_mm": np.array([0.0, np.nan])}, "finite"),
        ({"depths_mm": np.array([1.0, 0.0])}, "from head to foot"),
        ({"scores": np.array([0.5, 1.5])}, "within"),
    ],
)
def test_candidates_that_make_no_sense_are_refused(change, message):
    given = {
        "log_probabilities": np.zeros((2, 23)),
        "scores": np.full(2, 0.5),
        "positions_mm": np.zeros((2, 3)),
        "depths_mm": np.arange(2.0),
        "room_mm": np.zeros((2, 2)),
    }
    with pytest.raises(SettingError, match=message):
        Detections(**given | change)


def test_evidence_of_another_number_of_discs_is_refused():
    with pytest.raises(SettingError, match="23"):
        decode_chain(None, candidates([0.0, 30.0], 22))
