"""The network that makes a volume of a picture, and the prior that is shown the volume's views."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from priors.shape_memory import Recalled
from priors.symmetry import Planes, mirrored
from priors.train.train_novel_view import pictures_of
from priors.train.train_view_volume import VolumeTraining, views_of
from priors.train.view_denoiser import ViewTraining
from priors.view_volume import EMPTY, ViewVolume
from priors.zero123 import Zero123Prior, load
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.geometry.frustum_volumes import frustum_points, render_volumes
from suite.rng import generator, global_randomness, reseed
from suite.toyworld.view_pairs import ViewPairs

TINY = dict(size=32, autocast=False)


@pytest.fixture(scope="module")
def views() -> tuple[torch.Tensor, list[Cameras]]:
    """Two views of three things, `3 2 3 32 32`."""
    batch = ViewPairs(size=32, views=2).batch(3, 0, 0)
    return views_of(pictures_of(batch.images), batch.labels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained volume, saved."""
    place = tmp_path_factory.mktemp("volume")
    VolumeTraining(network={"widths": (8, 16, 16, 16)}, **TINY).save(place)
    return place


@pytest.fixture(scope="module")
def training(views, folder) -> ViewTraining:
    """A denoiser's training that is shown that volume."""
    return ViewTraining(views[0][:, 0], volume=str(folder), widths=(32, 32), width=32, layers=1, **TINY)


def test_at_first_pixels_say_the_colours(views):
    """Each voxel has its pixels' mean colour, and where the last layer is silent the density of the beginning."""
    with global_randomness():
        reseed(0, 0, "volume")
        network = ViewVolume(size=32, widths=(8, 16), blocks=(1, 1))
    torch.nn.init.zeros_(network.conv_out.weight)
    images, cameras = views
    volumes = network(images[:, 0], cameras[0])
    assert volumes.shape == (3, 16, 16, 16, 4) and bool((volumes[..., 0] == EMPTY).all())
    means = images[:, 0].unflatten(3, (16, 2)).unflatten(2, (16, 2)).mean((3, 5))
    torch.testing.assert_close(volumes[..., 1:], means.movedim(1, -1)[:, None].expand(-1, 16, -1, -1, -1))


def test_stripes_are_waves_over_height(views):
    """One weight of one colour: cos(2 pi 3 z) in all voxels, whatever the camera's elevation."""
    network = ViewVolume(size=32, widths=(8, 16), blocks=(1, 1), waves=4)
    torch.nn.init.zeros_(network.conv_out.weight)
    images, cameras = views
    plain = network(images[:, 0], cameras[0])
    with torch.no_grad():
        network.conv_out.bias[4 * 16 + 8 + 2] = 0.5  # green, the third frequency
    heights = frustum_points(cameras[0], 16, 16)[..., 2]
    change = network(images[:, 0], cameras[0]) - plain
    torch.testing.assert_close(change[..., 2], 0.5 * torch.cos(6 * torch.pi * heights), atol=1e-4, rtol=1e-4)
    assert not change[..., [0, 1, 3]].any()


def test_a_voxel_takes_the_colour_of_its_mirror_image(views):
    """Where only that is trusted; without a plane it is not there to take, wherever it is said to be."""
    network = ViewVolume(size=32, widths=(8, 16), blocks=(1, 1), shape_memory={"shapes": ["car"]})
    torch.nn.init.constant_(network.blend.bias, 50.0)
    images, cameras = views
    empty = torch.zeros(3, 16, 16, 16)
    made = {}
    for turn, sure in ((0.0, 0.0), (20.0, 0.0), (0.0, 1.0)):
        planes = Planes(torch.tensor([10.0, 70.0, 130.0]) + turn, torch.full((3,), sure))
        made[turn, sure] = network(images[:, 0], cameras[0], Recalled(empty, torch.ones(3), planes))
    assert torch.equal(made[0.0, 0.0], made[20.0, 0.0])
    there = mirrored(images[:, 0], cameras[0], planes, 16)
    torch.testing.assert_close(made[0.0, 1.0][..., 1:].movedim(-1, 1), there.colors)


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="size a multiple of 16; got 4, 4 and 40"):
        ViewVolume(size=40)
    with pytest.raises(ValueError, match="blocks are as many as widths"):
        ViewVolume(size=64, widths=(8, 8))


def test_a_mirror_image_has_the_mirrored_volume(training, views):
    images, cameras = views
    there = training.volume.of(images[:, 0].flip(-1), cameras[0])
    torch.testing.assert_close(there.flip(3), training.volume.of(images[:, 0], cameras[0]))


def test_the_prior_is_shown_the_volumes_views(training, views):
    """What lies beside x_t is the encoded view of the volume from the wanted camera, in training and in the prior."""
    prior, (images, cameras) = training.prior(), views
    volumes = prior.volume.of(images[:, 0], cameras[0])
    seen = render_volumes(volumes, *cameras).clamp(0, 1)
    assert (seen - images[:, 0]).abs().mean() > 0.02  # another view, and fog
    expected = prior.vae.encode(2 * seen - 1).latent_dist.mode()
    told = prior.embed([""] * 3, cameras[1], images[:, 0], reference=cameras[0]).tensors["latents"]
    torch.testing.assert_close(told, expected, atol=1e-4, rtol=1e-4)
    learnt = training._beside(images[:, 0], *cameras)
    torch.testing.assert_close(learnt, expected, atol=1e-4, rtol=1e-4)


def test_a_shown_picture_has_one_volume(training, views):
    """`show` once, and any cameras later, says what `embed` says of the same picture each time."""
    prior, (images, cameras) = training.prior(), views
    one, reference = images[:1, 0], cameras[0][0]
    wanted = Cameras.orbit([0.0, 120.0], [10.0, -20.0], 1.8, 49.13, height=48, width=48)
    prior.show(one, reference)
    shown = prior.embed(["", ""], wanted).tensors
    for i in range(2):
        each = prior.embed([""], wanted[i], one, reference=reference).tensors
        for name in shown:
            torch.testing.assert_close(shown[name][i], each[name][0], atol=1e-5, rtol=1e-4)


def test_the_volume_stays_as_it_is(training, views):
    """Denoiser and picture encoder learn beside it."""
    images, cameras = views
    training.loss(images[:, 0], images[:, 1], *cameras, generator(0, 0, "loss")).backward()
    assert all(p.grad is None for p in training.volume.parameters())
    assert any(p.grad is not None for p in training.learning["image_encoder"].parameters())
    assert training.learning["unet"].conv_in.weight.grad[:, 12:].abs().sum() > 0
    training.learning.zero_grad(set_to_none=True)


def test_a_saved_prior_has_its_volume(training, views, tmp_path):
    """A folder more than a Zero123's; to go on from it is to go on with its volume."""
    training.save(tmp_path)
    images, cameras = views
    answers = []
    for prior in (load(tmp_path), training.prior()):
        assert isinstance(prior, Zero123Prior) and prior.volume is not None
        told = prior.embed([""] * 3, cameras[1], images[:, 0], reference=cameras[0])
        answers.append(told.tensors["latents"])
    torch.testing.assert_close(*answers, atol=0.02, rtol=0.02)
    again = ViewTraining(images[:, 0], init=str(tmp_path), size=32)
    assert again.volume is not None


def test_another_resolution(training, views, tmp_path):
    """The picture is made as large as the network knows, the views as large as is asked."""
    training.save(tmp_path)
    prior, (images, cameras) = load(tmp_path, resolution=48), views
    large = F.interpolate(images[:, 0], (48, 48), mode="bilinear")
    told = prior.embed([""] * 3, cameras[1], large, reference=cameras[0]).tensors["latents"]
    assert told.shape[-2:] == (12, 12)


def test_a_folder_without_a_volume(tmp_path):
    with pytest.raises(UserError, match="has no folder view_volume/. Give volume/ of a run of suite train_v"):
        VolumeTraining(init=str(tmp_path))


def test_a_volume_of_other_pictures(folder):
    with pytest.raises(UserError, match="knows pictures of 32 pixels, not size=64"):
        VolumeTraining(init=str(folder), size=64)
    with pytest.raises(UserError, match="knows pictures of 32 pixels, not size=64"):
        ViewTraining(torch.rand(4, 3, 64, 64), volume=str(folder), widths=(32, 32), width=32, layers=1)
