"""The ordered decoder against full enumeration, and the laws that it must keep."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import FOUR_LUMBAR, NUMBERINGS, REGULAR, SIX_LUMBAR, THIRTEEN_THORACIC, Numbering
from spondyl.anatomy.spacing import VID
from spondyl.errors import SettingError
from spondyl.identify.costs import OrderCosts
from spondyl.identify.evidence import OFFICIAL_COLUMNS
from spondyl.identify.misses import MissRates
from spondyl.identify.order import decode
from spondyl.identify.weights import REFERENCE_SD_MM, STUDENT_DEGREES

SMALL = (
    Numbering(name="plain", levels=(Level.T11, Level.T12, Level.L1, Level.L2), prior=0.6),
    Numbering(name="short", levels=(Level.T11, Level.L1, Level.L2), prior=0.3),
    Numbering(name="long", levels=(Level.T11, Level.T12, Level.T13, Level.L1), prior=0.2),
)
SMALL_COLUMNS = (Level.L2, Level.L1, Level.T12, Level.T11)


def brute_force(log_probabilities, scores, positions, room, costs):
    """Weight of every (levels, variant, (size, shift)), written from the model's description and nothing else."""
    if not costs.shift_sd:
        return of_shift(log_probabilities, scores, positions, room, costs, 0)
    priors = {shift: np.exp(-0.5 * (shift / costs.shift_sd) ** 2) for shift in range(-2, 3)}
    weights = {}
    for shift, prior in priors.items():
        prior /= sum(priors.values())
        if prior > 1e-4:
            own = of_shift(log_probabilities, scores, positions, room, costs, shift)
            weights |= {key: weight * prior for key, weight in own.items()}
    return weights


def log_missed(room, variant, levels, size, costs):
    """Log-probability that the last of these levels is not detected where the column is followed from the first."""
    pairs = [VID.between(*sorted(pair, key=lambda level: level.rank)) for pair in itertools.pairwise(levels)]
    distance = size * sum(pair.mean_mm for pair in pairs)
    between = distance / len(pairs)
    depth = (room - distance - 0.1 * between) / np.hypot(0.06 * distance, 0.1 * between)
    return np.log(1 - norm.cdf(depth) * (1 - costs.misses.of(levels[-1])))


def log_ends(room, variant, chosen, size, costs):
    """Log-probability that nothing is detected above the first accepted candidate and below the last."""
    (first, top), (last, bottom), reach = chosen[0], chosen[-1], costs.max_skipped + 1
    upward = [variant.levels[to : top + 1][::-1] for to in range(max(0, top - reach), top)]
    downward = [variant.levels[bottom : to + 1] for to in range(bottom + 1, len(variant.levels))][:reach]
    return sum(log_missed(room[first, 0], variant, levels, size, costs) for levels in upward) + sum(
        log_missed(room[last, 1], variant, levels, size, costs) for levels in downward
    )


def of_shift(log_probabilities, scores, positions, room, costs, shift):
    """As `brute_force`, where the networks take each level for the one so many columns further down, or the last."""
    n = len(scores)
    rows = np.asarray(log_probabilities) / costs.temperature
    p = np.exp(rows) / np.exp(rows).sum(1, keepdims=True) * len(SMALL_COLUMNS)
    p = (1 - costs.outlier_probability) * p + costs.outlier_probability
    looks = [min(max(at - shift, 0), 3) for at in range(4)]  # columns run from foot to head
    p = p[:, looks]
    size_prior = np.exp(-0.5 * ((np.log(costs.sizes) - costs.size_mean) / costs.size_sd) ** 2)
    size_prior /= size_prior.sum()
    total_prior = sum(v.prior for v in SMALL)
    weights = {}
    for variant, (g, size) in itertools.product(SMALL, enumerate(costs.sizes)):
        for labels in itertools.product([None, *range(len(variant.levels))], repeat=n):
            chosen = [(i, at) for i, at in enumerate(labels) if at is not None]
            jumps = [(a, b) for a, b in itertools.pairwise(chosen)]
            if any(not 0 < b[1] - a[1] <= costs.max_skipped + 1 for a, b in jumps):
                continue
            log_w = np.log(variant.prior / total_prior * size_prior[g])
            for i, at in enumerate(labels):
                if at is None:
                    clipped = min(max(scores[i], 0.02), 0.98)
                    log_w -= costs.rejection + costs.rejection_per_logit * np.log(clipped / (1 - clipped))
                elif variant.levels[at] is Level.T13:
                    log_w += np.log(p[i, SMALL_COLUMNS.index(Level.T12)])
                else:
                    log_w += np.log(p[i, SMALL_COLUMNS.index(variant.levels[at])])
            for (i, at), (j, to) in jumps:
                pairs = [VID.between(variant.levels[k], variant.levels[k + 1]) for k in range(at, to)]
                sd = size * VID.within_patient * np.sqrt(sum(pair.sd_mm**2 for pair in pairs))
                sd = np.hypot(sd, costs.localisation_mm)
                z = (np.linalg.norm(positions[i] - positions[j]) - size * sum(pair.mean_mm for pair in pairs)) / sd
                density = -(STUDENT_DEGREES + 1) / 2 * np.log(1 + z * z / STUDENT_DEGREES)
                log_w += costs.spacing * (density - np.log(sd / REFERENCE_SD_MM))
                log_w += sum(np.log(costs.misses.of(level)) for level in variant.levels[at + 1 : to])
            log_w += log_ends(room, variant, chosen, size, costs) if chosen else 0
            levels = tuple(None if at is None else variant.levels[at] for at in labels)
            weights[levels, variant.name, (g, shift)] = np.exp(log_w)
    return weights


@st.composite
def cases(draw):
    n = draw(st.integers(0, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    evidence = rng.normal(size=(n, 4)) * draw(st.sampled_from([0.0, 1.0, 6.0]))
    heights = -np.cumsum(rng.uniform(5, 70, n))
    positions = np.stack([rng.normal(0, 4, n), rng.normal(0, 4, n), heights], axis=1).reshape(n, 3)
    costs = OrderCosts(
        temperature=draw(st.sampled_from([1.0, 2.0])),
        outlier_probability=draw(st.sampled_from([0.01, 0.2])),
        misses=draw(st.sampled_from([MissRates(), MissRates(thoracic=0.3, lumbar=0.6)])),
        max_skipped=draw(st.integers(0, 2)),
        rejection=draw(st.sampled_from([-1.0, 1.0, 4.0])),
        spacing=draw(st.sampled_from([0.0, 0.3, 1.0])),
        sizes=draw(st.sampled_from([(1.0,), (0.9, 1.1), (0.8, 1.0, 1.3)])),
        shift_sd=draw(st.sampled_from([0.0, 0.3, 1.0])),
    )
    return evidence, rng.uniform(0, 1, n), positions, rng.uniform(0, 120, (n, 2)), costs


@given(cases())
@settings(max_examples=60, deadline=None)
def test_best_k_best_marginals_and_variants_agree_with_full_enumeration(case):
    evidence, scores, positions, room, costs = case
    weights = brute_force(*case)
    total = sum(weights.values())
    result = decode(
        evidence, scores, positions, room_mm=room, columns=SMALL_COLUMNS, numberings=SMALL, costs=costs, best=4
    )

    posterior, explained, single = {}, {}, {}
    for (levels, name, state), weight in weights.items():
        posterior[levels] = posterior.get(levels, 0) + weight / total
        last = max((level for level in levels if level is not None), key=lambda one: one.rank, default=None)
        variant = next(v for v in SMALL if v.name == name).levels
        # Variants that agree down to the last level are one explanation; rejecting everything is one for each shift.
        key = (levels, variant[: variant.index(last) + 1], state) if last is not None else (levels, state[1])
        explained[key] = explained.get(key, 0) + weight
    for (levels, *_), weight in explained.items():
        single[levels] = max(single.get(levels, 0), weight)
    listed = {sequence.levels for sequence in result.sequences}
    assert len(listed) == len(result.sequences) == min(4, len(posterior))
    worst_listed = min(single[levels] for levels in listed)
    assert all(single[levels] <= worst_listed * (1 + 1e-9) for levels in posterior if levels not in listed)
    for sequence in result.sequences:
        assert np.exp(sequence.log_probability) == pytest.approx(posterior[sequence.levels], rel=1e-9)
    assert [s.log_probability for s in result.sequences] == sorted(
        (s.log_probability for s in result.sequences), reverse=True
    )

    marginals = np.zeros((len(scores), len(Level)))
    variants = dict.fromkeys((v.name for v in SMALL), 0.0)
    for (levels, name, _), weight in weights.items():
        variants[name] += weight / total
        for i, level in enumerate(levels):
            if level is not None:
                marginals[i, level.rank] += weight / total
    np.testing.assert_allclose(result.marginals, marginals, atol=1e-9)
    np.testing.assert_allclose(result.rejected, 1 - marginals.sum(1), atol=1e-9)
    assert result.numberings == pytest.approx(variants, abs=1e-9)


def column_of(numbering: Numbering, first: Level, last: Level, *, size: float = 1.0):
    """Levels and positions (n, 3) of a straight spine with published spacing."""
    levels = numbering.levels[numbering.levels.index(first) : numbering.levels.index(last) + 1]
    gaps = [VID.between(a, b).mean_mm * size for a, b in itertools.pairwise(levels)]
    heights = -np.concatenate([[0], np.cumsum(gaps)])
    return levels, np.stack([np.zeros(len(levels)), np.zeros(len(levels)), heights], axis=1)


def flat(n: int) -> np.ndarray:
    return np.zeros((n, len(OFFICIAL_COLUMNS)))


def certain(evidence: np.ndarray, candidate: int, level: Level) -> None:
    evidence[candidate, OFFICIAL_COLUMNS.index(level)] = 12.0


def scores_of(n: int) -> np.ndarray:
    return np.full(n, 0.95)


def test_without_an_anchor_flat_evidence_leaves_several_levels_open():
    _, positions = column_of(REGULAR, Level.L1, Level.L5)
    result = decode(flat(5), scores_of(5), positions)
    assert result.marginals.max() < 0.6
    assert (result.marginals[2] > 0.02).sum() >= 3
    assert result.numberings["regular"] == pytest.approx(0.9, abs=0.05)


def test_a_column_that_runs_on_in_view_without_a_sacrum_ends_at_it():
    """Six bodies that look like T11 to L4 with 60 mm of scan below them are T12 to L5, S1 being missed, or L1 to S1."""
    levels, positions = column_of(REGULAR, Level.T11, Level.L4)
    room = np.zeros((6, 2))
    evidence = misled(levels, 0, nats=0.5)
    free = decode(evidence, scores_of(6), positions, room_mm=room)
    room[-1, 1] = 60.0
    ended = decode(evidence, scores_of(6), positions, room_mm=room)
    assert free.levels == levels
    assert ended.marginals[5, Level.S1.rank] > 2 * free.marginals[5, Level.S1.rank]
    assert ended.marginals[5, Level.L4.rank] < free.marginals[5, Level.L4.rank]


def test_a_body_that_is_seldom_missed_costs_more_where_it_is_missing():
    levels, positions = column_of(REGULAR, Level.T12, Level.L5)
    room = np.zeros((6, 2))
    room[-1, 1] = 80.0
    evidence = misled(levels, 0, nats=1.0)
    probabilities = [
        decode(evidence, scores_of(6), positions, room_mm=room, costs=OrderCosts(misses=MissRates(s1=rate))).marginals[
            5, Level.S1.rank
        ]
        for rate in (0.5, 0.05, 0.001)
    ]
    assert probabilities == sorted(probabilities)
    assert probabilities[2] > 3 * probabilities[0]


@pytest.mark.parametrize("certain_at", [0, 3, 5])
def test_one_certain_candidate_fixes_its_neighbours(certain_at):
    levels, positions = column_of(REGULAR, Level.T12, Level.L5)
    evidence = flat(6)
    certain(evidence, certain_at, levels[certain_at])
    result = decode(evidence, scores_of(6), positions)
    assert result.levels == levels
    assert result.level_probability.min() > 0.8


def test_a_confidently_wrong_candidate_is_overruled_by_its_neighbours():
    levels, positions = column_of(REGULAR, Level.T12, Level.S1)
    evidence = flat(7)
    for i, level in enumerate(levels):
        certain(evidence, i, Level.T3 if level is Level.L2 else level)
    assert decode(evidence, scores_of(7), positions).levels == levels


def test_a_missing_detection_leaves_a_gap_in_the_levels():
    levels, positions = column_of(REGULAR, Level.T10, Level.S1)
    keep = [i for i, level in enumerate(levels) if level is not Level.L2]
    evidence = flat(len(keep))
    certain(evidence, len(keep) - 1, Level.S1)
    result = decode(evidence, scores_of(len(keep)), positions[keep])
    assert result.levels == tuple(levels[i] for i in keep)
    assert result.level_probability.min() > 0.9


def test_a_false_detection_between_two_bodies_is_rejected_for_its_distance():
    levels, positions = column_of(REGULAR, Level.L1, Level.S1)
    with_false = np.insert(positions, 3, positions[2:4].mean(axis=0), axis=0)
    evidence = flat(7)
    certain(evidence, 6, Level.S1)
    result = decode(evidence, scores_of(7), with_false)
    assert result.levels == (*levels[:3], None, *levels[3:])
    assert result.rejected[3] > 0.9


def test_a_doubled_detection_keeps_the_one_that_scores_higher():
    levels, positions = column_of(REGULAR, Level.L1, Level.S1)
    doubled = np.insert(positions, 3, positions[2] - [0, 0, 1.0], axis=0)
    evidence = flat(7)
    certain(evidence, 6, Level.S1)
    scores = np.array([0.95, 0.95, 0.3, 0.95, 0.95, 0.95, 0.95])
    assert decode(evidence, scores, doubled).levels == (*levels[:2], None, *levels[2:])


@pytest.mark.parametrize(
    ("numbering", "anchors"),
    [
        (SIX_LUMBAR, (Level.T12, Level.L1, Level.S1)),
        (THIRTEEN_THORACIC, (Level.T10, Level.T11, Level.L2, Level.S1)),
        (FOUR_LUMBAR, (Level.T12, Level.L1, Level.S1)),
        (REGULAR, (Level.T12, Level.L1, Level.S1)),
    ],
    ids=lambda value: value.name if isinstance(value, Numbering) else "",
)
def test_a_numbering_variant_is_recognised_between_certain_anchors(numbering, anchors):
    levels, positions = column_of(numbering, Level.T10, Level.S1)
    evidence = flat(len(levels))
    for anchor in anchors:
        certain(evidence, levels.index(anchor), anchor)
    if numbering is THIRTEEN_THORACIC:  # ribs on the extra vertebra: it looks like T12
        certain(evidence, levels.index(Level.T13), Level.T12)
    result = decode(evidence, scores_of(len(levels)), positions)
    assert result.levels == levels
    assert max(result.numberings, key=result.numberings.__getitem__) == numbering.name
    assert result.numberings[numbering.name] > 0.8


def test_a_second_body_that_looks_like_s1_is_s2():
    levels, positions = column_of(REGULAR, Level.L3, Level.S2)
    evidence = flat(5)
    certain(evidence, 3, Level.S1)
    certain(evidence, 4, Level.S1)
    assert decode(evidence, scores_of(5), positions).levels == levels


@pytest.mark.parametrize("size", [0.85, 1.0, 1.15])
def test_small_and_large_patients_get_the_same_levels_and_their_size(size):
    levels, positions = column_of(REGULAR, Level.C2, Level.S1, size=size)
    evidence = flat(len(levels))
    certain(evidence, 0, Level.C2)
    result = decode(evidence, scores_of(len(levels)), positions)
    assert result.levels == levels
    assert result.size == pytest.approx(size, abs=0.05)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_adding_a_number_to_a_row_and_moving_the_patient_change_nothing(seed):
    rng = np.random.default_rng(seed)
    _, positions = column_of(REGULAR, Level.T9, Level.L3)
    n = len(positions)
    evidence, scores = rng.normal(size=(n, 24)) * 3, rng.uniform(0.2, 1, n)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    first = decode(evidence, scores, positions)
    moved = decode(evidence + rng.normal(size=(n, 1)) * 50, scores, positions @ rotation + rng.normal(size=3) * 100)
    np.testing.assert_allclose(moved.marginals, first.marginals, atol=1e-9)
    assert moved.levels == first.levels


@given(st.integers(0, 2**32 - 1), st.integers(0, 30))
@settings(max_examples=25, deadline=None)
def test_probabilities_are_consistent_whatever_comes_in(seed, n):
    rng = np.random.default_rng(seed)
    evidence = rng.normal(size=(n, 24)) * rng.choice([0.1, 3, 300])
    positions = np.cumsum(rng.normal([0, 0, -20], 15, size=(n, 3)), axis=0)
    result = decode(evidence, rng.uniform(0, 1, n), positions)
    np.testing.assert_allclose(result.marginals.sum(1) + result.rejected, 1, atol=1e-9)
    assert sum(result.numberings.values()) == pytest.approx(1, abs=1e-9)
    assert all(sequence.log_probability <= 1e-9 for sequence in result.sequences)
    assert sum(np.exp(s.log_probability) for s in result.sequences) <= 1 + 1e-9
    ranks = [level.rank for level in result.levels if level is not None]
    assert ranks == sorted(set(ranks))


@pytest.mark.slow
def test_probabilities_of_flat_evidence_are_what_they_say():
    """Spines drawn from the model itself: levels said with probability p are right in about p of the cases."""
    rng = np.random.default_rng(5)
    said, right = [], []
    for _ in range(150):
        levels, _ = column_of(REGULAR, Level.C1, Level.S2)
        first = rng.integers(0, len(levels) - 8)
        size = np.exp(rng.normal(0.03, 0.08))
        gaps = []
        for upper, lower in itertools.pairwise(levels[first : first + 8]):
            pair = VID.between(upper, lower)
            sd = np.hypot(size * VID.within_patient * pair.sd_mm, 1.5)
            gaps.append(size * pair.mean_mm + sd * rng.standard_t(STUDENT_DEGREES))
        heights = -np.concatenate([[0], np.cumsum(gaps)])
        positions = np.stack([heights * 0, heights * 0, heights], axis=1)
        result = decode(flat(8), scores_of(8), positions, numberings=(REGULAR,), costs=OrderCosts(rejection=9.0))
        said.append(result.level_probability[4])
        right.append(result.levels[4] is levels[first + 4])
    assert np.mean(right) == pytest.approx(np.mean(said), abs=0.1)


def test_forty_candidates_take_little_time():
    """30 ms of processor time is the aim on an idle core; the bound leaves room for a busy machine."""
    rng = np.random.default_rng(0)
    positions = np.stack([np.zeros(40), np.zeros(40), -np.arange(40) * 14.0], axis=1)
    arguments = rng.normal(size=(40, 24)) * 2, rng.uniform(0.3, 1, 40), positions
    decode(*arguments)
    started = [(time.process_time(), decode(*arguments), time.process_time()) for _ in range(5)]
    assert min(end - begin for begin, _, end in started) < 0.15


def misled(levels: tuple[Level, ...], by: int, nats: float = 3.0) -> np.ndarray:
    """What a network says that takes each level but the ends for one so many levels further down."""
    places = np.array([REGULAR.levels.index(level) for level in OFFICIAL_COLUMNS])
    ends = (Level.C2, Level.C3, Level.S1)
    seen = [REGULAR.levels.index(level) + by * (level not in ends) for level in levels]
    return -nats * np.abs(places - np.array(seen)[:, None])


def test_a_network_that_errs_alike_on_all_is_overruled_by_an_end_and_doubted_without():
    levels, positions = column_of(REGULAR, Level.T8, Level.S1)
    shared = OrderCosts(shift_sd=0.5)
    told = decode(misled(levels, 1), scores_of(len(levels)), positions, costs=shared)
    assert told.levels == levels
    assert decode(misled(levels, 1), scores_of(len(levels)), positions).levels != levels
    inner = slice(0, 6)
    alone, trusting = (
        decode(misled(levels[inner], 1), scores_of(6), positions[inner], costs=costs)
        for costs in (shared, OrderCosts())
    )
    assert trusting.level_probability.min() > 0.95
    assert alone.level_probability.max() < 0.95
    assert alone.marginals[2, levels[2].rank] > 0.05


def test_shifts_are_symmetric_and_as_likely_as_their_deviation_says():
    shifts = OrderCosts(shift_sd=0.5).shifts()
    assert set(shifts) == {-2, -1, 0, 1, 2}
    assert shifts[1] == shifts[-1] == pytest.approx(shifts[0] - 2)
    assert sum(np.exp(list(shifts.values()))) == pytest.approx(1)
    assert set(OrderCosts(shift_sd=0.2).shifts()) == {0}
    assert OrderCosts().shifts() == {0: 0.0}


def test_the_ends_can_be_believed_where_the_rest_is_not():
    """Four lumbar vertebrae above a certain sacrum, told by a network whose inner levels count for little."""
    levels, positions = column_of(FOUR_LUMBAR, Level.T9, Level.S1)
    said, scores = misled(levels, 0), scores_of(len(levels))
    both = decode(said, scores, positions, costs=OrderCosts(temperature=3.0))
    ends = decode(said, scores, positions, costs=OrderCosts(temperature=3.0, landmark_temperature=0.5))
    assert both.levels[-1] is Level.L5
    assert ends.levels == levels


def test_no_candidate_is_an_empty_answer_with_the_priors_of_the_variants():
    result = decode(flat(0), [], np.zeros((0, 3)))
    assert result.levels == ()
    assert result.marginals.shape == (0, len(Level))
    assert result.numberings == pytest.approx({n.name: n.prior for n in NUMBERINGS})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((2, 23)), [0.5, 0.5], np.zeros((2, 3))), "one column per level"),
        ((np.zeros((2, 24)), [0.5], np.zeros((2, 3))), "2 candidates need scores"),
        ((np.zeros((2, 24)), [0.5, 1.5], np.zeros((2, 3))), "within"),
        ((np.zeros((1, 24)), [0.5], [[0, 0, np.nan]]), "finite"),
        ((np.zeros((1, 24)), [0.5], np.zeros((1, 3)), [[0, -1.0]]), "must not be negative"),
        ((np.zeros((1, 24)), [0.5], np.zeros((1, 3)), [0, 1.0]), "room"),
        ((np.full((1, 24), np.nan), [0.5], np.zeros((1, 3))), "must be numbers"),
        ((np.full((1, 24), -np.inf), [0.5], np.zeros((1, 3))), "at least one finite"),
    ],
)
def test_input_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(SettingError, match=message):
        decode(*arguments[:3], room_mm=arguments[3] if len(arguments) > 3 else None)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0},
        {"sizes": ()},
        {"outlier_probability": 2},
        {"max_skipped": -1},
        {"size_sd": 0},
        {"shift_sd": -1},
        {"landmark_temperature": 0},
    ],
)
def test_costs_outside_their_range_are_refused(change):
    with pytest.raises(SettingError):
        OrderCosts(**change)
