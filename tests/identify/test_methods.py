"""Labelling composed, with networks whose answers are known."""

from itertools import pairwise

import numpy as np
import pytest

from spondyl.anatomy.disc import Disc
from spondyl.anatomy.level import Level
from spondyl.anatomy.numbering import REGULAR
from spondyl.anatomy.spacing import VID
from spondyl.errors import SettingError
from spondyl.geometry.affine import Affine
from spondyl.geometry.instance import VertebraInstance, centroids_ras_mm
from spondyl.geometry.points import Landmarks
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.appearance import AppearanceIdentifier, body_evidence
from spondyl.identify.costs import OrderCosts
from spondyl.identify.crops import COMPACT
from spondyl.identify.evidence import DISC_COLUMNS, OFFICIAL_COLUMNS
from spondyl.identify.height_map import HeightMapSettings
from spondyl.identify.methods.context import ContextNamer, refine_logits
from spondyl.identify.methods.order import OrderNamer
from spondyl.reading import Candidates
from spondyl.stage import Structure
from spondyl.study import Study

LIP = np.array([[-1.0, 0, 0], [0, 0, -1], [0, -1, 0]])
LEVELS = REGULAR.levels[REGULAR.levels.index(Level.T11) : REGULAR.levels.index(Level.S1) + 1]


@pytest.fixture
def spine():
    """Instances T11 to S1 with published spacing, in a scan of pixels of 0.8 mm."""
    gaps = [VID.between(a, b).mean_mm for a, b in pairwise(LEVELS)]
    centres = 25 + np.concatenate([[0], np.cumsum(gaps)])
    corners = np.array([[-12, 16], [12, 16], [12, -16], [-12, -16]])
    affine = Affine.from_axes(LIP, (4, 0.8, 0.8), (10, 20, 30))
    outlines = [np.tile(np.add(corners, (row, 60.0)) / 0.8, (3, 1, 1)) for row in centres]
    instances = [VertebraInstance(slices=(4, 5, 6), outlines=drawn, score=0.9, affine=affine) for drawn in outlines]
    voxels = np.random.default_rng(0).random((10, 380, 150), dtype=np.float32)
    return SagittalStack(voxels=voxels, affine=affine), instances


def sacrum_last(crops):
    """Knows only that the lowest vertebra is S1."""
    assert crops.dtype == np.float32
    assert crops.shape[1:] == (1, 64, 64, 8)
    logits = np.zeros((len(crops), 24), dtype=np.float32)
    logits[-1, 0] = 9
    return logits


def sharpened(heights):
    """Gives the map back as logits, temperature undone."""
    assert heights.shape[:2] == (1, 1)
    assert heights.shape[2] % 256 == 0
    return np.log(np.maximum(heights, 1e-30)) * 10


def label_instances(stack, instances, appearance, context):
    """Name bodies by the exact decoder, with or without a context network before it."""
    namer = OrderNamer(costs=OrderCosts())
    if context is not None:
        namer = ContextNamer(context=context, heights=HeightMapSettings(), costs=OrderCosts())
    identify = AppearanceIdentifier(appearance=appearance, crops=COMPACT, namer=namer)
    bodies = Candidates.from_bodies(instances)
    return identify(Study.from_sagittal(stack), {Structure.VERTEBRA: bodies}).vertebrae


def test_one_known_vertebra_names_the_others(spine):
    assert label_instances(*spine, sacrum_last, sharpened).levels == LEVELS
    assert label_instances(*spine, sacrum_last, None).levels == LEVELS


def test_the_answer_keeps_the_order_of_the_instances(spine):
    stack, instances = spine
    straight = label_instances(stack, instances, sacrum_last, sharpened)
    order = [3, 0, 7, 1, 6, 2, 5, 4]
    mixed = label_instances(stack, [instances[i] for i in order], sacrum_last, sharpened)
    assert mixed.levels == tuple(LEVELS[i] for i in order)
    np.testing.assert_allclose(mixed.marginals, straight.marginals[order], atol=1e-12)
    np.testing.assert_allclose(mixed.level_probability, straight.level_probability[order], atol=1e-12)


def test_the_context_networks_rows_are_read_at_the_centroids(spine):
    stack, instances = spine

    def by_height(heights):
        return np.broadcast_to(np.arange(heights.shape[2], dtype=np.float32)[:, None], heights.shape)

    evidence = body_evidence(stack, instances, sacrum_last, COMPACT)
    logits = refine_logits(evidence, by_height, HeightMapSettings())
    centroids_mm = np.array([(instance.centroid_index[1] + 0.5) * 0.8 for instance in instances])
    np.testing.assert_allclose(logits[:, 0], centroids_mm, atol=1)


def test_without_an_anchor_the_probabilities_show_it(spine):
    labelling = label_instances(*spine, lambda crops: np.zeros((len(crops), 24), dtype=np.float32), None)
    assert labelling.level_probability.max() < 0.9  # distances that fit the table to the millimetre do say something
    assert len(labelling.level_probabilities(3, 0.02)) >= 2


def identify_both(spine, discs: Candidates | None, order: list[int], namer, chain_namer=None):
    """Name bodies in some order, and discs."""
    stack, instances = spine
    identify = AppearanceIdentifier(
        appearance=sacrum_last,
        crops=COMPACT,
        namer=namer,
        chain_namer=chain_namer,
        trained_levels=(Level.T11, Level.S1),
    )
    bodies = Candidates.from_bodies([instances[i] for i in order])
    found = {Structure.VERTEBRA: bodies} | ({} if discs is None else {Structure.DISC: discs})
    return identify(Study.from_sagittal(stack), found)


def discs_between(instances, order: list[int], logits: np.ndarray | None = None) -> Candidates:
    centres = centroids_ras_mm(instances)
    middles = (centres[1:] + centres[:-1]) / 2
    return Candidates(
        structure=Structure.DISC,
        centres=Landmarks(points_ras_mm=middles[order], scores=np.full(len(order), 0.9)),
        logits=logits,
    )


def test_bodies_and_discs_are_named_as_one_chain_in_whatever_order_they_come(spine):
    namer, discs = OrderNamer(costs=OrderCosts()), list(map(Disc, LEVELS, LEVELS[1:]))
    for order, disc_order in [([*range(8)], [*range(7)]), ([3, 0, 7, 1, 6, 2, 5, 4], [6, 0, 3, 5, 1, 2, 4])]:
        named = identify_both(spine, discs_between(spine[1], disc_order), order, namer, namer.name_chain)
        assert named.vertebrae.levels == tuple(LEVELS[i] for i in order)
        assert named.discs.levels == tuple(discs[i] for i in disc_order)
        assert named.vertebrae.trained_levels == (Level.T11, Level.S1)


def test_discs_are_numbered_beyond_the_bodies_that_were_found_only_as_one_chain(spine):
    stack, instances = spine
    namer, found = OrderNamer(costs=OrderCosts()), discs_between(instances, [*range(7)])
    lowest = stack, instances[4:]
    chain = identify_both(lowest, found, [*range(4)], namer, namer.name_chain)
    assert chain.discs.levels == tuple(map(Disc, LEVELS, LEVELS[1:]))
    alone = identify_both(lowest, found, [*range(4)], namer)
    assert alone.discs.levels[:4] == (None,) * 4


def test_evidence_of_the_discs_reaches_the_vertebrae(spine):
    logits = np.zeros((7, 23))
    logits[3, DISC_COLUMNS.index(Level.L3)] = 12.0
    namer = OrderNamer(costs=OrderCosts(landmark_temperature=50.0))
    plain, told = (
        identify_both(spine, discs_between(spine[1], [*range(7)], each), [*range(8)], namer, namer.name_chain)
        for each in (None, logits)
    )
    assert told.vertebrae.marginals[4, Level.L3.rank] > plain.vertebrae.marginals[4, Level.L3.rank]


@pytest.mark.parametrize("shape", [(6, 23), (7, 24)])
def test_evidence_of_discs_must_have_a_row_for_each_and_a_column_for_every_level(spine, shape):
    with pytest.raises(SettingError, match=r"\(7, 23\)"):
        discs_between(spine[1], [*range(7)], np.zeros(shape))


def test_no_instance_is_an_empty_answer(spine):
    stack, _ = spine
    assert label_instances(stack, [], sacrum_last, sharpened) is None


def test_a_network_of_another_shape_is_refused(spine):
    with pytest.raises(SettingError, match=r"appearance network must return \(8, 24\)"):
        label_instances(*spine, lambda crops: np.zeros((1, 24), dtype=np.float32), None)
    with pytest.raises(SettingError, match="context network must return"):
        label_instances(*spine, sacrum_last, lambda heights: heights[:, :, :5])
    assert len(OFFICIAL_COLUMNS) == 24
