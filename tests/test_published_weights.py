"""The published program from scan to levels, with networks of random weights: what a plan composes for that set."""

import numpy as np
import pytest
import torch
from torch import nn

from identify import published_labels
from locate import published_program
from phantoms import lumbar
from spondyl.geometry.resample import to_sagittal
from spondyl.geometry.stack import SagittalStack
from spondyl.identify.beam import BeamCosts, beam_search
from spondyl.identify.published import label
from spondyl.locate.published import detect
from spondyl.nets.appearance import SPINENET, Appearance
from spondyl.nets.context import Context
from spondyl.nets.vfr import COMPACT, Vfr


def on_arrays(module: nn.Module):
    def network(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.as_tensor(batch, dtype=torch.float32)).numpy()

    return network


@pytest.fixture
def networks():
    """Detection in the compact size, which takes a fraction of the time; the others in the published one."""
    torch.manual_seed(2)
    vfr, appearance, context = Vfr(COMPACT).eval(), Appearance(SPINENET).eval(), Context().eval()
    context.conv8.weight.data *= 300  # so that the levels differ in more than their penalties
    return on_arrays(Louder(vfr)), on_arrays(appearance), on_arrays(context)


class Louder(nn.Module):
    """A detector with heats of about 0.3 and arrows of some pixels, so that random weights show bodies."""

    def __init__(self, vfr: Vfr) -> None:
        super().__init__()
        self.vfr = vfr

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        maps = self.vfr(patches)
        spread, mean = torch.std_mean(maps, dim=(2, 3), keepdim=True)
        return (maps - mean) / spread * torch.tensor([0.3] * 5 + [30.0] * 8)[None, :, None, None]


@pytest.mark.slow
def test_scan_to_levels_is_as_the_slow_implementation_has_it(networks):
    vfr, appearance, context = networks
    volume = lumbar().volume
    whole, _ = to_sagittal(volume.voxels, volume.affine)
    stack = SagittalStack(voxels=whole.voxels[5:9], affine=whole.affine)
    pixel_mm = float(stack.pixel_mm.mean())

    bodies = detect(stack, vfr)
    outlines = [outline for _, outline in published_program.bodies(stack.voxels, pixel_mm, vfr)]
    assert len(bodies) == len(outlines) > 2
    np.testing.assert_allclose([body.middle_outline for body in bodies], outlines, atol=0.01)

    outlines_xy = [outline[:, ::-1] for outline in outlines]
    crops = np.stack([published_labels.crop(stack.voxels.transpose(1, 2, 0), outline) for outline in outlines_xy])
    probabilities = torch.softmax(torch.as_tensor(appearance(crops[:, None])).double() / 10, dim=1).numpy()
    picture = published_labels.height_map(probabilities, outlines_xy, pixel_mm, stack.voxels.shape[1])
    refined = context(picture[None, None])[0, 0]
    logits = np.array([refined[int(outline[:, 1].mean() * pixel_mm)] for outline in outlines_xy])
    answer = label(stack, bodies, appearance, context)
    assert answer.levels == beam_search(logits, costs=BeamCosts(temperature=10))[0]
    np.testing.assert_allclose(answer.marginals.sum(axis=1) + answer.rejected, 1)
