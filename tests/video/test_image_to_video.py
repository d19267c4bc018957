"""`suite image_to_video`: the still is the first frame, whatever its shape."""

import json

import pytest
import torch

from suite.diffusion.samplers import SAMPLERS
from suite.errors import UserError
from suite.io.images import read_image, write_image
from suite.rng import generator
from suite.run import Run
from video.framing import fitted, natural_size, read_still
from video.generation import Generation
from video.image_to_video import ImageToVideo
from video.motion.building import fresh
from video.prompts import Travel
from video.sampling import Completing, Known


@pytest.fixture(scope="module")
def image(tiny_prior):
    return tiny_prior("sd15")


@pytest.fixture
def still(tmp_path):
    path = tmp_path / "still.png"
    write_image(path, torch.rand(3, 64, 64, generator=generator(0, 0, "still")))
    return path


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_known_frames_are_what_they_are(image, sampler, tmp_path):
    """With any sampler they end as given, and stay on alpha x_0 + sigma eps on the way; the others are sampled."""
    make = Generation(image, fresh(image.unet), sampler=sampler, steps=3, scale=3.0)
    grid, noise = make.grid(), make.noise(3)
    x_0 = torch.randn(noise.shape, generator=generator(0, 0, "x_0"))
    known = Known(x_0, torch.tensor([True, False, False]), noise)
    condition = make.video.embed(Travel.of("a red car", 3).prompts())
    with Run(tmp_path / "run") as run:
        made = make.sample(make.start(grid, noise), condition, run, grid=grid, known=known)
    assert torch.equal(made[:, 0], x_0[:, 0]) and (made[:, 1:] - x_0[:, 1:]).abs().mean() > 0.1
    way = []
    SAMPLERS[sampler](
        Completing(make.video, known), make.start(grid, noise, x_0), condition, steps=grid, scale=3.0,
        callback=lambda i, x, p: way.append((i + 1, x[:, 0])),
    )  # fmt: skip
    for i, x in way:
        there = float(grid.alpha[i]) * x_0[:, 0] + float(grid.sigma[i]) * noise[:, 0]
        torch.testing.assert_close(x, there, atol=2e-4, rtol=1e-3)


def test_the_others_see_the_known_ones(image):
    """The network is shown the given frame under its noise, not what a sampler has there; and says its truth."""
    make, seen = Generation(image, None), []

    class Listening:
        schedule, kind = make.video.schedule, make.video.kind

        def predict(self, x_t, t, condition):
            seen.append(x_t)
            return make.video.predict(x_t, t, condition)

    noise = make.noise(2)
    known = Known(0.5 * torch.ones_like(noise), torch.tensor([True, False]), noise)
    t = torch.tensor([0.6])
    (alpha,), (sigma,) = make.video.schedule.alpha_sigma(t)
    p = Completing(Listening(), known).predict(torch.zeros_like(noise), t, make.video.embed(["a red car"]))
    torch.testing.assert_close(seen[0][:, 0], alpha * 0.5 + sigma * noise[:, 0])
    assert not seen[0][:, 1].any()
    torch.testing.assert_close(p.x_0[:, 0], known.x_0[:, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(p.eps[:, 0], noise[:, 0])


def run_task(tmp_path, **options) -> dict:
    with Run(tmp_path / "run") as run:
        ImageToVideo(**({"prompt": "a red car", "frames": 3, "steps": 2} | options)).run(run)
    return json.loads((tmp_path / "run" / "report.json").read_text())["measures"]


def test_the_first_frame_is_the_still(image, still, tmp_path):
    """Held: equal to what the autoencoder makes of the still. The measure is its PSNR."""
    measures = run_task(tmp_path, prior=image, image=str(still), motion=fresh(image.unet))
    picture = read_still(still, 64, 64)
    coded = image.decode(image.encode(picture))
    limit = -10 * torch.log10((coded - picture).square().mean())
    assert measures["first_frame_psnr"] == pytest.approx(float(limit), abs=1e-3)
    strip = read_image(tmp_path / "run" / "images" / "strip.png").rgb
    torch.testing.assert_close(strip[0, :, 1:129:2, 1:129:2], coded[0].clamp(0, 1), atol=1 / 255, rtol=0)
    assert (tmp_path / "run" / "images" / "still.png").exists()


def test_little_noise_stays_near(image, tmp_path):
    """way=noise begins from the still: at strength 0.02 all frames are it, at strength 1 none is; no frame is held."""
    path = tmp_path / "grey.png"
    write_image(path, torch.full((3, 64, 64), 0.5))
    x_0 = Generation(image, None).encode(read_still(path, 64, 64))
    far = []
    for strength in (0.02, 1.0):
        make = Generation(image, None, steps=2, scale=1.0)
        grid, noise = make.grid(strength), make.noise(2)
        condition = make.video.embed(["a red car"])
        with Run(tmp_path / f"run{strength}") as run:
            start = make.start(grid, noise, x_0.expand(-1, 2, -1, -1, -1))
            made = make.sample(start, condition, run, grid=grid)
        far.append(float((made - x_0).abs().mean()))
    assert far[0] < 0.15 < far[1]


def test_strength_is_where_a_path_begins(image):
    """The times of the whole path times the strength, each entry of the schedule's table once."""
    make = Generation(image, None, steps=10)
    whole, part = make.grid(), make.grid(0.5)
    torch.testing.assert_close(part.t, whole.t * 0.5)
    assert len(part.alpha) == len(part.t) + 1 and float(part.alpha[-1]) == float(whole.alpha[-1])
    assert len(make.grid(0.004)) < 10 and bool((make.grid(0.004).alpha[:-1].diff() != 0).all())


def test_any_shape_becomes_a_frame(tmp_path):
    """A red left half and a blue right one, 20 x 40: cropped to the middle, padded by the border, stretched."""
    halves = torch.zeros(1, 3, 20, 40)
    halves[:, 0, :, :20], halves[:, 2, :, 20:] = 1, 1
    crop, pad, stretch = (fitted(halves, 20, 20, fit) for fit in ("crop", "pad", "stretch"))
    assert torch.equal(crop, halves[..., 10:30])
    assert pad.shape == (1, 3, 20, 20) and pad[0, 0, 0, 0] == 1 and pad[0, 2, -1, -1] == 1
    assert torch.equal(pad[..., 0, :], pad[..., 10, :])
    assert stretch.shape == (1, 3, 20, 20) and stretch[0, 0, 5, 4] == 1
    assert (
        fitted(halves[..., :7], 16, 24, "pad").shape == fitted(halves, 16, 24, "crop").shape == (1, 3, 16, 24)
    )
    assert natural_size(1080, 1920, 64, 8) == (64, 112) and natural_size(10, 1000, 64, 8) == (64, 6400)
    picture = torch.full((3, 40, 60), 0.8)
    picture[:, 5:25, 5:25] = 0.1
    write_image(tmp_path / "object.png", picture)
    cut = read_still(tmp_path / "object.png", 32, 48, "cutout")
    assert cut.shape == (1, 3, 32, 48) and float(cut[0, 0, 16, 24]) < 0.2 and float(cut[..., 0, 0].min()) == 1


def test_what_is_lost_is_said(tmp_path, caplog):
    """A crop that leaves a third of a still, and frames far from a square; neither where it is not so."""
    write_image(tmp_path / "wide.png", torch.rand(3, 20, 60))
    read_still(tmp_path / "wide.png", 32, 32, "pad"), read_still(tmp_path / "wide.png", 32, 64)
    natural_size(1080, 1920, 64, 8)
    assert not caplog.messages
    read_still(tmp_path / "wide.png", 32, 32)
    natural_size(100, 1000, 64, 8)
    cut, wide = caplog.messages
    assert "67% of it is cut off; fit=pad" in cut and "640 x 64 pixels" in wide


def test_a_command_takes_another_shape(command, tiny_folder, tmp_path):
    """A wide picture into tall frames, without motion modules: they are not needed, and that is said."""
    write_image(tmp_path / "wide.png", torch.rand(3, 20, 50, generator=generator(0, 0, "wide")))
    done = command(
        f"image_to_video image=wide.png motion=null prior=sd15 prior.path={tiny_folder('sd15')} frames=2 steps=1 "
        "height=64 width=48 way=noise fit=pad out=run 'prompt=a red car'"
    )
    assert done.status == 0, done.errors
    assert read_image(done.directory / "images" / "still.png").rgb.shape == (1, 3, 64, 48)
    assert "No motion modules: every frame is a picture by itself" in done.errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": "none.png"}, "There is no image at none.png"),
        ({"strength": 0.0}, "strength=0 is not possible: above 0 .* up to 1 .*, as strength=0.6"),
        ({"strength": 1.5}, "strength=1.5 is not possible"),
        ({"way": "magic"}, "way='magic' is not one of: auto, replace, noise, concat"),
        (
            {"way": "concat"},
            "way=concat needs a motion module with an input for a still .* which has none. Type",
        ),
        ({"way": "concat", "motion": None}, "here is no motion module at all"),
        ({"fit": "shrink"}, "fit='shrink' is not one of: crop, pad, stretch, cutout"),
        ({"frames": 1}, "A clip has at least 2 frames"),
        ({"fps": 0.0}, "above 0, got 0"),
        ({"width": 60}, "width=60 is not possible"),
    ],
)
def test_bad_input_is_one_line(image, still, caplog, options, message):
    """Said before anything is made, with the way out, and nothing beside it."""
    with pytest.raises(UserError, match=message), caplog.at_level("INFO"):
        given = {"prior": image, "motion": fresh(image.unet), "image": str(still), "prompt": "a red car"}
        ImageToVideo(**(given | options))
    assert not caplog.messages


def test_a_video_has_no_cutout():
    """`fitted` knows three ways."""
    with pytest.raises(UserError, match="fit='cutout' is not one of: crop, pad, stretch"):
        fitted(torch.zeros(1, 3, 4, 4), 8, 8, "cutout")
