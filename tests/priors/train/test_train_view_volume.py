"""The training of a picture's volume: mirrored views, its step, its command."""

import json

import pytest
import torch

from priors.train.train_novel_view import pictures_of
from priors.train.train_view_volume import TrainViewVolume, VolumeTraining, mirrored, views_of
from priors.zero123 import load
from suite.geometry.frustum_volumes import render_volumes
from suite.rng import generator
from suite.toyworld.view_pairs import ViewPairs

NETWORK = {"widths": (8, 16, 16, 16)}
SMALL = dict(size=32, half=False, network=NETWORK)
SMALL_RUN = "batch=4 views=2 reuse=2 pool=2 size=32 +half=false network.widths=[8,16,16,16]"


@pytest.fixture(scope="module")
def strips():
    return ViewPairs(size=32, views=3).batch(4, 0, 0)


def test_views_belong_to_their_cameras(strips):
    """The k-th camera of a thing took its k-th view."""
    views, cameras = views_of(pictures_of(strips.images), strips.labels)
    assert views.shape == (4, 3, 3, 32, 32) and len(cameras) == 3
    for thing, seen in enumerate(strips.labels):
        for k in range(3):
            strip = torch.from_numpy(strips.images[thing, :, 32 * k : 32 * (k + 1)])
            assert torch.equal(views[thing, k], strip.movedim(-1, 0))
            assert float(cameras[k].azimuth_deg[thing]) == pytest.approx(seen.azimuth_deg[k], abs=1e-2)
            assert float(cameras[k].distance[thing]) == pytest.approx(seen.distance[k], rel=1e-4)


def test_a_mirrored_thing_is_seen_by_mirrored_cameras(strips):
    """A volume that is mirrored shows from the mirrored cameras what it showed, mirrored."""
    views, cameras = views_of(pictures_of(strips.images), strips.labels)
    volumes = torch.rand(4, 8, 8, 8, 4, generator=generator(0, 0, "volumes"))
    volumes[..., 0] = 4 * volumes[..., 0] - 4
    shown = [render_volumes(volumes, cameras[0], camera) for camera in cameras]
    turned, other, which = mirrored(torch.stack(shown, 1), cameras, generator(1, 0, "mirror"))
    assert torch.equal((turned[:, 0] - shown[0]).abs().amax((1, 2, 3)) > 0, which)
    assert 0 < int(which.sum()) < 4
    volumes = torch.where(which[:, None, None, None, None], volumes.flip(3), volumes)
    for k in range(3):
        again = render_volumes(volumes, other[0], other[k])
        torch.testing.assert_close(again, turned[:, k], atol=1e-4, rtol=1e-4)


def test_it_learns_a_thing():
    """Twenty steps on the same few things lower the error of their views by half."""
    task = TrainViewVolume(
        batch=2,
        views=3,
        patch=32,
        structure=0,
        shares=(1, 0, 0, 0, 0),
        reuse=100,
        pool=1,
        steps=20,
        lr=3e-3,
        **SMALL,
    )
    optimizer, errors = task.make_optimizer(), []
    for group in optimizer.param_groups:
        group["lr"] = 3e-3
    for step in range(20):
        optimizer.zero_grad(set_to_none=True)
        loss = task.loss(0, generator(0, step, "step"))
        loss.backward()
        optimizer.step()
        task.after_step(step)
        errors.append(float(loss.detach()))
    assert sum(errors[-3:]) < 0.5 * sum(errors[:3])


def test_going_on_from_a_folder(tmp_path):
    """`init` starts with its weights."""
    first = VolumeTraining(size=32, network=NETWORK)
    first.save(tmp_path)
    again = VolumeTraining(init=str(tmp_path), size=32, seed=1)
    for ours, theirs in zip(again.average.parameters(), first.average.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


def test_the_commands_make_a_prior(command):
    """`suite train_view_volume` leaves volume/, and `suite train_novel_view volume=` a prior with it."""
    done = command(f"train_view_volume steps=2 patch=11 {SMALL_RUN} device=cpu previews=1")
    assert done.status == 0, done.errors
    assert list((done.directory / "images").glob("volumes_*.png"))
    assert json.loads((done.directory / "report.json").read_text())["measures"]["volume_megabytes"] < 12
    assert "held_out_kinds: PSNR" in (done.directory / "log.txt").read_text()
    volume = done.directory / "volume"
    options = "batch=4 views=2 +reuse=2 +pool=2 widths=[32,32] size=32 +half=false"
    done = command(f"train_novel_view steps=2 volume={volume} {options} device=cpu previews=1")
    assert done.status == 0, done.errors
    assert load(str(done.directory / "prior")).volume is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 8}, "patch must be 11 .SSIM.s window. to 64 pixels, got 8"),
        ({"size": 40}, "multiple of 16"),
        ({"forget": 3.0}, "forget is a share from 0 to 1, got 3"),
        ({"views": 1}, "two views"),
    ],
)
def test_bad_options_say_what_to_type(options, message):
    with pytest.raises(ValueError, match=message):
        TrainViewVolume(**options)
