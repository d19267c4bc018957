"""The training of a volume on what fills frustums."""

import json

import pytest
import torch

from priors.loading.zero123 import VOLUME
from priors.train.base import CODEC_BATCH
from priors.train.train_view_solids import TrainViewSolids, iou
from priors.train.train_view_volume import VolumeTraining
from suite.errors import UserError
from suite.geometry.frustum_occupancy import FULL
from suite.rng import generator
from suite.toyworld.solids import Solids
from suite.toyworld.view_pairs import SPLITS, ViewPairs, cameras_of

NETWORK = {"widths": (8, 16, 16, 16)}


def test_it_learns_what_is_filled():
    """Sixty steps on the same few things: what it says is filled is what is, to an IoU that guessing does not reach."""
    task = TrainViewSolids(
        batch=4, size=32, half=False, network=NETWORK, shares=(1, 0, 0, 0, 0), reuse=100, pool=1, steps=60
    )  # fmt: skip
    optimizer = task.make_optimizer()
    for group in optimizer.param_groups:
        group["lr"] = 1e-2
    for step in range(60):
        optimizer.zero_grad(set_to_none=True)
        task.loss(0, generator(0, step, "step")).backward()
        optimizer.step()
    images, solids = task.pool.draw(0, generator(0, 0, "again"))
    reference = cameras_of([solid.viewpoints for solid in solids], 32)
    with torch.no_grad():
        said = task.training.told(images, reference, None)[0][..., 0] > 0
    true = torch.stack([torch.from_numpy(solid.filled) for solid in solids]) > 4
    assert float((said & true).sum() / (said | true).sum()) > 0.5


def test_iou_of_the_truth_is_one_and_of_nothing_none(monkeypatch):
    training = VolumeTraining(size=32, network=NETWORK)
    solids = Solids(ViewPairs(size=32, split="held_out"), side=16).batch(8, 0, CODEC_BATCH + 3)
    true = torch.stack([torch.from_numpy(solid.filled) for solid in solids.labels]) > FULL // 2
    for said, expected in ((true, 1.0), (~true, 0.0)):
        answer = (2.0 * said - 1, torch.zeros(8))
        monkeypatch.setattr(training.average[VOLUME], "densities", lambda *_, answer=answer: answer)
        assert iou(training, "held_out", 32, 0, told=True, count=8) == pytest.approx(expected)


def test_the_command_hands_it_on(command):
    """volume/ of its run is what `suite train_view_volume init=` goes on with."""
    small = "batch=4 reuse=2 pool=2 size=32 +half=false"
    done = command(f"train_view_solids steps=2 {small} network.widths=[8,16,16,16] device=cpu previews=1")
    assert done.status == 0, done.errors
    assert list((done.directory / "images").glob("volumes_*.png"))
    measures = json.loads((done.directory / "report.json").read_text())["measures"]
    assert all(0 <= measures[f"iou_{split}"] <= 1 for split in SPLITS)
    done = command(
        f"train_view_volume steps=2 patch=11 views=2 {small} init={done.directory}/volume device=cpu"
    )
    assert done.status == 0, done.errors
    assert VolumeTraining(init=str(done.directory / "volume"), size=32).learning["view_volume"].grid == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 40}, "multiple of 16"),
        ({"steps": 0}, "steps must be positive"),
        ({"stretch": 2.0}, "stretch is a share from 0 to 1, got 2"),
        ({"network": {"widths": (8, 8)}}, "makes no network: blocks are as many as widths"),
        ({"network": {"depth": 3}}, "makes no network: .*depth"),
        ({"init": "nowhere"}, "has no folder view_volume/"),
    ],
)
def test_bad_options_say_what_to_type(options, message):
    with pytest.raises((ValueError, UserError), match=message):
        TrainViewSolids(**options)
