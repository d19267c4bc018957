"""Motion modules that see a still (PIA's layout): neutral when fresh, equal to a U-Net of 9 input channels, trained."""

import copy
import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from priors.base import Condition
from suite.errors import UserError
from suite.io.images import write_image
from suite.rng import generator
from suite.run import Run
from tests.video.motion.originals import random_original
from tests.video.test_train_motion import training
from video.image_to_video import ImageToVideo
from video.motion.building import fresh
from video.motion.files import load, save
from video.motion.modules import Motion
from video.motion_prior import MotionPrior, first_frame_alone, with_still
from video.windows import Windowed, Windows


@pytest.fixture(scope="module")
def image(tiny_prior):
    return tiny_prior("sd15")


@pytest.fixture(scope="module")
def sees(image) -> Motion:
    """Modules that leave frames alone but see stills, with random weights there."""
    motion = fresh(image.unet, still=True)
    motion.adapter.conv_in.weight.data.normal_(std=0.2, generator=generator(0, 0, "conv_in"))
    return motion


def asked(frames: int = 3) -> dict[str, torch.Tensor]:
    draws = generator(1, 0, "asked")
    return {
        "x": torch.randn(2, frames, 4, 8, 8, generator=draws),
        "t": torch.tensor([0.3, 0.7]),
        "still": torch.randn(2, 4, 8, 8, generator=draws),
        "affinity": torch.rand(2, frames, generator=draws),
    }


def test_fresh_ones_change_nothing(image):
    """With a still or without, the image prior's own answer."""
    q, video = asked(), MotionPrior(image, fresh(image.unet, still=True))
    condition = image.embed(["a red car", "a blue robot"])
    seen = with_still(condition, q["still"], q["affinity"])
    plain = MotionPrior(image, None).predict(q["x"], q["t"], condition).raw
    for given in (condition, seen, seen.negative):
        truth = (
            plain
            if given is not seen.negative
            else MotionPrior(image, None).predict(q["x"], q["t"], given).raw
        )
        torch.testing.assert_close(video.predict(q["x"], q["t"], given).raw, truth, atol=1e-5, rtol=1e-4)


def test_it_is_a_unet_of_nine_channels(image, sees):
    """PIA's own form: noise, affinity and still side by side into one convolution, frame by frame."""
    q = asked()
    condition = with_still(image.embed(["a red car", "a blue robot"]), q["still"], q["affinity"])
    got = MotionPrior(image, sees).predict(q["x"], q["t"], condition).raw
    unet = copy.deepcopy(image.unet)
    nine = nn.Conv2d(9, unet.conv_in.out_channels, 3, padding=1)
    nine.weight.data = torch.cat([unet.conv_in.weight, sees.adapter.conv_in.weight[:, 4:]], 1)
    nine.bias.data = unet.conv_in.bias
    unet.conv_in = nine
    for clip in range(2):
        for k in range(3):
            mask = q["affinity"][clip, k].expand(1, 1, 8, 8)
            x = torch.cat([q["x"][clip, k][None], mask, q["still"][clip][None]], 1)
            tokens = condition.tensors["tokens"][clip][None]
            time = image.schedule.model_time(q["t"][clip][None])
            truth = unet(x, time, encoder_hidden_states=tokens).sample
            torch.testing.assert_close(got[clip, k], truth[0], atol=1e-4, rtol=1e-3)


def test_prompts_travel_and_windows_slide_beside_it(image, sees):
    """One text a frame gives what one text a clip gives; of a window each frame has its own affinity."""
    q, video = asked(4), MotionPrior(image, sees)
    whole = video.predict(
        q["x"], q["t"], with_still(image.embed(["a car", "a robot"]), q["still"], q["affinity"])
    )
    each = image.embed(["a car"] * 4 + ["a robot"] * 4)
    travelling = video.predict(q["x"], q["t"], with_still(each, q["still"], q["affinity"]))
    torch.testing.assert_close(travelling.raw, whole.raw, atol=1e-5, rtol=1e-4)
    windowed = Windowed(video, Windows(schedule="static", length=2, overlap=0), torch.tensor([0.3]))
    for condition in (image.embed(["a car", "a robot"]), each):
        seen = with_still(condition, q["still"], q["affinity"])
        slid = windowed.predict(q["x"], q["t"], seen)
        torch.testing.assert_close(slid.raw, whole.raw, atol=1e-5, rtol=1e-4)


def test_files(image, sees, tmp_path):
    """PIA's layout is read and normalises as v1; ours is written and read in both formats; others do not fit."""
    tensors = random_original(positions=32)
    tensors |= {"conv_in.weight": torch.randn(16, 9, 3, 3), "conv_in.bias": torch.randn(16)}
    save_file(tensors, tmp_path / "pia.safetensors")
    pia = load(str(tmp_path / "pia.safetensors"))
    pia.check_fit(image.unet)
    assert pia.sees_stills and pia.across_frames
    assert torch.equal(pia.adapter.conv_in.weight, tensors["conv_in.weight"])
    save(sees, tmp_path / "ours.safetensors")
    save(sees, tmp_path / "ours")
    for name in ("ours.safetensors", "ours"):
        again = load(str(tmp_path / name), across_frames=False)
        assert (
            torch.equal(again.adapter.conv_in.weight, sees.adapter.conv_in.weight) and not again.across_frames
        )
    assert not load(str(tmp_path / "ours.safetensors")).across_frames
    tensors["conv_in.weight"] = torch.randn(16, 11, 3, 3)
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="sees stills of 5 latent channels; this prior has 4"):
        load(str(tmp_path / "other.safetensors")).check_fit(image.unet)


def test_they_learn_to_go_on_from_a_still(tiny_prior, videos):
    """With still=1 the input learns, from the clips' own first frames; with still=0 there is none."""
    task = training(tiny_prior("sd15"), videos, still=1.0)
    clips = torch.rand(2, 3, 3, 64, 64, generator=generator(0, 0, "clips"))
    _, condition = task.prepare(clips, ["a", "b"], generator(0, 0, "step"))
    seen = condition.tensors["frames.still"]
    torch.testing.assert_close(seen[:, 1, 1:], task.prior.encode(clips[:, 0]), atol=1e-4, rtol=1e-3)
    assert seen[:, :, 0].amax((-1, -2)).tolist() == [[1.0, 0.0, 0.0]] * 2
    task.step_loss(clips, ["a", "b"], generator(0, 0, "step")).backward()
    gradient = task.training.learning.adapter.conv_in.weight.grad
    assert float(gradient[:, 4:].abs().max()) > 0 == float(gradient[:, :4].abs().max())
    assert not training(tiny_prior("sd15"), videos).training.learning.sees_stills
    for share in (-0.1, 1.5):
        with pytest.raises(UserError, match="from 0 to 1"):
            training(tiny_prior("sd15"), videos, still=share)


def test_half_of_the_clips_have_one(tiny_prior, videos):
    """still=0.5: a still or zeros, clip by clip."""
    task = training(tiny_prior("sd15"), videos, still=0.5)
    _, condition = task.prepare(torch.rand(12, 2, 3, 64, 64), ["a"] * 12, generator(0, 0, "step"))
    shown = condition.tensors["frames.still"].abs().amax((1, 2, 3, 4)) > 0
    assert 2 <= int(shown.sum()) <= 10
    marked = condition.tensors["frames.still"][:, 0, 0].amax((-1, -2)) > 0
    assert torch.equal(shown, marked)


def test_image_to_video_shows_it(image, sees, tmp_path):
    """way=auto takes the input where there is one; the first frame is the still; affinity reaches the modules."""
    write_image(tmp_path / "still.png", torch.rand(3, 64, 64, generator=generator(0, 0, "still")))
    asked = {
        "prior": image,
        "image": str(tmp_path / "still.png"),
        "prompt": "a red car",
        "frames": 3,
        "steps": 2,
    }
    task = ImageToVideo(**asked, motion=sees)
    assert task.first.way == "concat" and len(task.grid) == 2
    assert ImageToVideo(**asked, motion=fresh(image.unet)).first.way == "replace"
    with Run(tmp_path / "run") as run:
        task.run(run)
    first = json.loads((tmp_path / "run" / "report.json").read_text())["measures"]["first_frame_psnr"]
    coded = image.decode(image.encode(task.still))
    assert first == pytest.approx(
        float(-10 * (coded.clamp(0, 1) - task.still).square().mean().log10()), abs=0.1
    )
    for wrong in ((), (1.0, 2.0)):
        with pytest.raises(UserError, match="numbers from 0 to 1"):
            ImageToVideo(**asked, motion=sees, affinity=wrong)


def test_the_first_frame_alone():
    assert first_frame_alone(3).tolist() == [[1.0, 0.0, 0.0]]
    condition = Condition({"tokens": torch.zeros(1, 2, 3)})
    shown = with_still(condition, torch.ones(1, 4, 2, 2), torch.tensor([[1.0, 0.5]])).tensors["frames.still"]
    assert shown[0, :, 0, 0, 0].tolist() == [1.0, 0.5] and float(shown[:, :, 1:].min()) == 1
