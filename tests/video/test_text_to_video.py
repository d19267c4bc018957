"""`suite text_to_video`: noise a frame, windows, products, and what is said of bad input."""

import json

import pytest
import torch

from priors.stable_diffusion import load
from suite.diffusion.samplers import dpmpp_2m
from suite.errors import UserError
from suite.io.images import read_image
from suite.io.videos import VideoFile
from suite.rng import generator
from suite.run import Run
from video.generation import Generation
from video.motion.building import build_adapter, fresh
from video.motion.files import save, save_lora
from video.motion.lora import fresh_lora
from video.motion.modules import Motion
from video.products import evenly, frame_store, still_words
from video.prompts import Travel
from video.shipped import pocket_motion
from video.text_to_video import TextToVideo
from video.windows import Windows


@pytest.fixture(scope="module")
def image(tiny_prior):
    return tiny_prior("sd21_v")


@pytest.fixture(scope="module")
def motion(image):
    return fresh(image.unet)


def sampled(image, motion, frames: int, tmp_path, **options) -> torch.Tensor:
    make = Generation(image, motion, **({"steps": 2, "scale": 3.0} | options))
    grid = make.grid()
    condition = make.video.embed(Travel.of("a red car", frames).prompts())
    with Run(tmp_path / "run") as run:
        return make.sample(make.start(grid, make.noise(frames)), condition, run, grid=grid)


def test_noise_is_a_frames_own(image):
    """Frame i's is drawn from (seed, i): clips of other lengths begin alike. Off, the clip's is drawn at once."""
    make = Generation(image, None)
    torch.testing.assert_close(make.noise(5)[:, :3], make.noise(3))
    expected = torch.randn(1, 1, 4, 8, 8, generator=generator(0, 4, "frame"))
    assert torch.equal(make.noise(5)[:, 4:], expected)
    once = Generation(image, None, frame_seeds=False)
    assert not torch.equal(once.noise(5)[:, 1:2], make.noise(5)[:, 1:2])
    assert abs(float(once.noise(16).std()) - 1) < 0.05
    assert make.noise(2, 32, 48).shape == (1, 2, 4, 4, 6)


@pytest.mark.parametrize(
    "windows", [None, Windows(length=3, overlap=1), Windows("looped", length=3, overlap=1)]
)
def test_fresh_modules_make_the_pictures_of_the_image_prior(image, motion, windows, tmp_path):
    """Without motion or with modules that do nothing, in windows or not: each frame as the image prior samples it."""
    made = sampled(image, motion if windows else None, 5, tmp_path, windows=windows)
    noise = torch.cat([torch.randn(1, 4, 8, 8, generator=generator(0, i, "frame")) for i in range(5)])
    pictures = dpmpp_2m(image, noise, image.embed(["a red car"] * 5), steps=2, scale=3.0)
    torch.testing.assert_close(made[0], pictures, atol=1e-4, rtol=1e-3)


def test_frames_may_share_a_part_of_their_noise(image, motion):
    """Standard normal in each frame, correlated by that part between frames; clips of other lengths begin alike."""
    shared = Motion(motion.adapter, shared_noise=0.4)
    calmer = Motion(motion.adapter, shared_noise=0.4, sampled_noise=0.8)
    for modules, options, part in (
        (shared, {}, 0.4), (shared, {"frame_seeds": False}, 0.4), (shared, {"shared_noise": 0.7}, 0.7),
        (calmer, {}, 0.8),
    ):  # fmt: skip
        noise = Generation(image, modules, **options).noise(8, 256, 256)
        cov = torch.cov(noise[0].flatten(1))
        torch.testing.assert_close(cov.diagonal(), torch.ones(8), atol=0.1, rtol=0)
        torch.testing.assert_close(cov - cov.diag().diag(), part * (1 - torch.eye(8)), atol=0.1, rtol=0)
    with pytest.raises(UserError, match="shared_noise is a part of the noise"):
        Generation(image, shared, shared_noise=1.0)
    make = Generation(image, shared)
    torch.testing.assert_close(make.noise(5)[:, :3], make.noise(3))


def test_windows_are_no_longer_than_positions(image, caplog):
    """A module of 4 positions gets windows of 4 frames, and that is said."""
    make = Generation(image, fresh(image.unet, positions=4), windows=Windows(overlap=2))
    through = make.through_windows(9, make.grid())
    assert through.windows.length == 4
    assert make.through_windows(4, make.grid()) is make.video


def test_a_command_makes_everything(command, tiny_folder, tiny_prior, tmp_path):
    """Videos of the asked length and rate, pictures, measures, a report in which the clip plays."""
    save(fresh(tiny_prior("sd15").unet), tmp_path / "m.safetensors")
    done = command(
        f"text_to_video prior=sd15 prior.path={tiny_folder('sd15')} motion=file motion.path=m.safetensors frames=5 "
        "fps=12 steps=1 height=48 width=64 windows.length=4 windows.overlap=1 windows.weights=flat out=run",
        'prompt={0: "a blue car, sliding left", 4: "a red car"}',
        "negative=ugly",
    )
    assert done.status == 0, done.errors
    for suffix in ("mp4", "gif", "webp"):
        file = VideoFile(done.directory / "videos" / f"clip.{suffix}")
        assert len(file) == 5 and file.size == (48, 64) and file.fps == pytest.approx(12, rel=0.02)
    for name in ("strip", "contact_sheet"):
        assert read_image(done.directory / "images" / f"{name}.png").rgb.shape[-1] >= 5 * 64
    report = json.loads((done.directory / "report.json").read_text())
    measures = report["measures"]
    assert {"flicker", "motion_smoothness", "dynamic_degree", "subject_consistency_judge"} <= set(measures)
    assert [row["asked"] for row in measures["frames_seen"]] == ["a blue car, sliding left"] * 3 + [
        "a red car"
    ] * 2
    assert 0 <= measures["frames_named_right"] <= 1 and report["evaluations"] == 2 * 2 * 4
    assert "<video" in (done.directory / "report.html").read_text()


def test_loras_are_mixed(image, motion, tmp_path):
    """Each file with its strength, whatever it changes; a MotionLoRA needs motion modules."""
    files = {str(tmp_path / "look.safetensors"): 0.5, str(tmp_path / "zoom.safetensors"): -1.0}
    for file, host in zip(files, (image.unet, motion.adapter)):
        save_lora(fresh_lora(host, rank=2), file)
    make = Generation(image, motion, loras=files)
    assert make.video.strengths == [0.5, -1.0] and [x.of_motion for x in make.video.loras] == [False, True]
    with pytest.raises(
        UserError, match="zoom.safetensors is a MotionLoRA, of motion modules, and there are none"
    ):
        Generation(image, None, loras=files)


def test_frames_may_lie_in_a_file(tmp_path, monkeypatch):
    """Many frames are kept in half precision outside of memory; a byte's step is 8 of half precision's."""
    frames = torch.rand(3, 3, 8, 8, generator=generator(0, 0, "frames"))
    with Run(tmp_path / "run") as run:
        assert frame_store(run, 3, 8, 8).dtype == torch.float32
        monkeypatch.setattr("video.products.IN_MEMORY", 0)
        store = frame_store(run, 3, 8, 8)
        store[:] = frames.to(store)
        assert store.dtype == torch.float16 and (store.float() - frames).abs().max() < 1 / 255 / 4


def test_numbers_that_are_shown():
    """Both ends, evenly."""
    assert evenly(4, 16) == [0, 1, 2, 3] and evenly(10, 4) == [0, 3, 6, 9] and evenly(1, 4) == [0]
    assert still_words("a blue car, sliding left, side view") == "a blue car, side view"


def test_modules_of_another_base_are_refused(image):
    """They say what they belong to."""
    wide = Motion(build_adapter((32, 64), layers=2, positions=8, mid=False, heads=2))
    with pytest.raises(UserError, match="belongs to a U-Net of 32, 64 channels"):
        TextToVideo(prior=image, motion=wide, prompt="a red car")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 0}, "A clip has at least 2 frames, got frames=0: type frames=16"),
        ({"frames": 1}, "A clip has at least 2 frames, got frames=1"),
        ({"frames": 10**9}, "need .* GiB for their latents"),
        ({"fps": 0.0}, "fps is how many frames are shown in a second: above 0, got 0"),
        ({"fps": -8.0}, "above 0, got -8"),
        ({"height": 60}, "height=60 is not possible: this prior's frames are multiples of 8 pixels, as 64"),
        ({"width": -8}, "width=-8 is not possible"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"sampler": "plms"}, "sampler='plms' is not one of: dpmpp_2m, ddim, euler, heun"),
        ({"prompt": {20: "a red car"}}, "stop at frame 20, and the clip's frames are 0 to 15"),
        ({"loras": {"none.safetensors": 1.0}}, "There is no checkpoint at none.safetensors"),
        ({"loras": {"runing": 1.0}}, "There is no LoRA 'runing': give a file, or one of: .*running"),
        (
            {"frames": 40},
            "40 frames are more than the 32 positions of .*: make at most 32, or let context windows",
        ),
    ],
)
def test_bad_input_is_one_line(image, motion, options, message):
    """Said before anything is made, with the way out."""
    with pytest.raises(UserError, match=message):
        TextToVideo(**({"prior": image, "motion": motion, "prompt": "a red car"} | options))


def test_a_shipped_lora_is_mentioned(caplog):
    """Where the words ask for a motion that has one, and none is asked for."""
    caplog.set_level("INFO")
    asked = {
        "prior": load("pocket"),
        "motion": pocket_motion(),
        "prompt": "a person in a green shirt, running",
    }
    TextToVideo(**asked, loras={"running": 1.0})
    TextToVideo(**asked | {"prompt": "a blue car, rising"})
    assert "MotionLoRA" not in caplog.text
    TextToVideo(**asked)
    assert "loras='{running: 1.0}'" in caplog.text
