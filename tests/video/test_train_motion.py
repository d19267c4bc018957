"""The three trainings of AnimateDiff: the loss, accumulation, resuming, files and the commands."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from priors.analytic import GaussianPrior
from suite.errors import UserError
from suite.io.images import read_image
from suite.rng import generator
from suite.run import Run
from tests.video.motion.originals import random_original
from video.motion.building import fresh
from video.motion.files import load, load_lora
from video.motion.sources import ClipData
from video.motion.training import Recipe
from video.motion_prior import MotionPrior
from video.train_domain_adapter import TrainDomainAdapter
from video.train_motion import TrainMotion
from video.train_motion_lora import TrainMotionLora

RECIPE = (
    "recipe.batch=2 recipe.accumulate=2 recipe.pool=1 recipe.half=false recipe.optimizer=adamw recipe.lr=0.01"
)


def training(prior, videos, *, steps: int = 4, frames: int = 2, still: float = 0.0, **recipe) -> TrainMotion:
    options = dict(batch=2, pool=1, half=False, drop=0.0) | recipe
    clips = ClipData(videos=str(videos), frames=frames)
    return TrainMotion(prior=prior, clips=clips, recipe=Recipe(**options), steps=steps, still=still)


@pytest.mark.parametrize("family", ["sd15", "sd21_v"])
def test_accumulated_halves_are_the_whole(family, tiny_prior, videos):
    """Two halves leave the gradient of the full batch, with and without checkpointing; the loss shown is the mean."""
    found = []
    for accumulate, checkpointing in ((1, False), (2, False), (2, True)):
        task = training(tiny_prior(family), videos, accumulate=accumulate, checkpointing=checkpointing)
        for module in task.training.learning.transformers().values():
            module.proj_out.weight.data = (
                torch.eye(module.in_channels) / 10
            )  # so that every layer has a gradient
        loss = task.loss(0, generator(0, 0, "step"))
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in task.training.learning.parameters()])
        found.append((loss.detach(), gradient))
    whole = found[0][1]
    for loss, gradient in found[1:]:
        torch.testing.assert_close(loss, found[0][0], atol=1e-6, rtol=1e-5)
        assert (gradient - whole).norm() < 5e-4 * whole.norm()  # float32 sums in another order


@pytest.mark.parametrize("family", ["sd15", "sd21_v"])
def test_the_perfect_answer_has_no_loss(family, tiny_prior, videos, monkeypatch):
    """A network that answers eps (or v) of each clip's own time gives 0; t is one a clip."""
    task, image = training(tiny_prior(family), videos), tiny_prior(family)
    clips, _ = task.pool.draw(0, generator(0, 0, "clips"))
    noise, condition = task.prepare(clips, ["a red car"] * 2, generator(0, 0, "noise"))
    truth = noise.eps if image.kind == "epsilon" else noise.alpha * noise.eps - noise.sigma * noise.x_0

    def network(x_t, t, condition):
        assert torch.equal(t, noise.t.repeat_interleave(2)) and len(condition) == 4
        return truth.unflatten(1, (2, 4)).flatten(0, 1)

    monkeypatch.setattr(image, "network", network)
    assert float(task.part_loss(task.video(task.training.learning), noise, condition)) < 1e-9
    truth = torch.zeros_like(truth)
    assert float(task.part_loss(task.video(task.training.learning), noise, condition)) > 0.1


def test_twins_are_looked_at_under_the_same_noise(tiny_prior):
    """At the same time, with the same eps; of each clip the first frame and others of it, with their own words."""
    recipe = Recipe(batch=4, pool=1, half=False, drop=0.0)
    clips = ClipData(frames=5, motions=("rising", "falling"), twins=True, shown=3)
    task = TrainMotion(prior=tiny_prior("sd15"), clips=clips, recipe=recipe, steps=4, shared_noise=0.5)
    drawn, labels = task.pool.draw(0, generator(0, 0, "clips"))
    for one, two in (labels[:2], labels[2:]):
        assert {one.motion, two.motion} == {"rising", "falling"} and one.name == two.name
    noise, _ = task.prepare(drawn, [label.caption for label in labels], generator(0, 0, "noise"))
    assert torch.equal(noise.t[::2], noise.t[1::2]) and torch.equal(noise.eps[::2], noise.eps[1::2])
    assert noise.t[0] != noise.t[2] and not torch.equal(noise.eps[0], noise.eps[2])
    assert not torch.equal(noise.x_0[0], noise.x_0[1])
    numbers = task.numbers(generator(0, 0, "numbers"))
    assert numbers[0] == 0 and len(numbers) == 3 and numbers == sorted(set(numbers)) and numbers[-1] < 5
    task.loss(0, generator(0, 0, "step")).backward()
    with pytest.raises(UserError, match="Twins come in pairs: batch=3 has no whole pairs"):
        recipe = Recipe(batch=3, pool=1)
        TrainMotion(prior=tiny_prior("sd15"), clips=clips, recipe=recipe)
    with pytest.raises(
        UserError, match="shown is how many of the 5 frames a step looks at: 0 .all. or 2 to 5, got 6"
    ):
        ClipData(frames=5, shown=6)
    for name in ("twins", "from_rest"):
        with pytest.raises(UserError, match=f"Only clips of toyworld know {name}"):
            ClipData(videos="clips", **{name: True})


def test_a_camera_moves_over_the_whole_clip_of_which_some_frames_are_shown(tiny_prior, videos):
    """Some frames of the moved clip, not a move over some frames."""
    clips = ClipData(videos=str(videos), frames=2)
    recipe, image = Recipe(batch=2, pool=1, half=False), tiny_prior("sd15")
    task = TrainMotionLora(
        prior=image, motion=fresh(image.unet), clips=clips, recipe=recipe, camera="pan_left", rank=2, steps=4
    )
    drawn = torch.rand(2, 5, 3, 96, 96, generator=generator(0, 0, "clips"))
    whole, _ = task.prepare(drawn, ["a car"] * 2, generator(0, 0, "noise"))
    some, _ = task.prepare(drawn, ["a car"] * 2, generator(0, 0, "noise"), [0, 3])
    torch.testing.assert_close(some.x_0.unflatten(1, (2, 4)), whole.x_0.unflatten(1, (5, 4))[:, [0, 3]])


def test_clips_are_trained_under_the_noise_that_they_are_made_of(tiny_prior, videos):
    """With shared_noise, eps of two frames are correlated by it, and x_t is made of that eps."""
    recipe, clips = Recipe(batch=2, pool=1, half=False), ClipData(videos=str(videos), frames=2)
    task = TrainMotion(prior=tiny_prior("sd15"), clips=clips, recipe=recipe, steps=4, shared_noise=0.5)
    drawn, _ = task.pool.draw(0, generator(0, 0, "clips"))
    found = []
    for k in range(20):
        noise, _ = task.prepare(drawn, ["a red car"] * 2, generator(0, k, "noise"))
        torch.testing.assert_close(noise.x_t, noise.alpha * noise.x_0 + noise.sigma * noise.eps)
        one, two = noise.eps.unflatten(1, (2, -1)).unbind(1)
        found.append(torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1])
    assert abs(float(torch.stack(found).mean()) - 0.5) < 0.03


def test_noise_varies_from_that_of_training_to_that_of_sampling(tiny_prior):
    """Correlations of two frames' eps fill the range evenly, twins share theirs, and each frame's variance is 1."""
    recipe = Recipe(batch=4, pool=1, half=False)
    clips = ClipData(frames=2, motions=("rising", "falling"), twins=True)
    task = TrainMotion(
        prior=tiny_prior("sd15"), clips=clips, recipe=recipe, steps=4, shared_noise=0.3, sampled_noise=0.9
    )  # fmt: skip
    drawn, labels = task.pool.draw(0, generator(0, 0, "clips"))
    found, variance = [], []
    for k in range(60):
        noise, _ = task.prepare(drawn, [label.caption for label in labels], generator(0, k, "noise"))
        assert torch.equal(noise.eps[::2], noise.eps[1::2])
        for clip in noise.eps[::2].unflatten(1, (2, -1)):
            found.append(float(torch.corrcoef(clip.flatten(1))[0, 1]))
            variance.append(float(clip.var()))
    assert min(found) < 0.4 and max(found) > 0.8 and abs(np.mean(found) - 0.6) < 0.06
    assert abs(np.mean(variance) - 1) < 0.02


def test_previews_show_clips_row_by_row(tiny_prior, videos, tmp_path):
    """A strip of frames for each of two captions; the training's state is what it was."""
    task = training(tiny_prior("sd15"), videos)
    before = {name: value.clone() for name, value in task.training.state_dict().items()}
    task.preview(3, Run(tmp_path / "run"))
    picture = read_image(tmp_path / "run" / "images" / "samples_000003.png").rgb
    assert picture.shape[-1] >= 2 * 64 and picture.shape[-2] >= 2 * 64
    assert all(torch.equal(value, before[name]) for name, value in task.training.state_dict().items())


def killed_and_resumed(command, monkeypatch, task: type, line: str, product: str) -> None:
    """Runs to the end, and elsewhere dies after one step and goes on: the same product, bit for bit."""
    whole = command(f"{line} out=whole")
    assert whole.status == 0, whole.errors

    def die(self, step: int) -> None:
        plain(self, step)
        if step == 1:
            raise RuntimeError("killed")

    plain = task.after_step
    with monkeypatch.context() as patch:
        patch.setattr(task, "after_step", die)
        assert command(f"{line} out=parts").status == 1
    parts = command(f"{line} out=parts")
    assert parts.status == 0, parts.errors
    one, other = (load_file(outcome.directory / product) for outcome in (whole, parts))
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_motion_modules_are_trained_resumed_and_saved(command, tiny_folder, tiny_prior, videos, monkeypatch):
    """`suite train_motion`: what it saves moves frames, in the original's and in diffusers' format alike."""
    line = (
        f"train_motion prior=sd15 prior.path={tiny_folder('sd15')} clips.videos={videos} clips.frames=2 steps=3 "
        f"{RECIPE} save_every='1 steps' previews=0 device=cpu"
    )
    killed_and_resumed(command, monkeypatch, TrainMotion, line, "motion.safetensors")
    run = command(f"{line} out=whole").directory
    motion, folder = load(str(run / "motion.safetensors")), load(str(run / "motion"))
    for key, value in motion.adapter.state_dict().items():
        assert torch.equal(value, folder.adapter.state_dict()[key])
    image = tiny_prior("sd15")
    x, t = torch.randn(1, 2, 4, 8, 8, generator=generator(0, 0, "x")), torch.tensor([0.5])
    trained, plain = (
        MotionPrior(image, m).predict(x, t, image.embed(["a red car"])).raw for m in (motion, None)
    )
    assert (trained - plain).abs().max() > 1e-4
    run = command(f"{line} words=true places=true half=true out=told").directory
    told = load(str(run / "motion.safetensors"))
    assert told.attends_to_words and told.knows_places and not (run / "motion").exists()
    halves = [
        value.dtype for key, value in load_file(run / "motion.safetensors").items() if not key.endswith(".pe")
    ]
    assert set(halves) == {torch.float16}


def test_a_domain_adapter_is_trained_resumed_and_saved(command, tiny_folder, tiny_prior, videos, monkeypatch):
    """`suite train_domain_adapter`: alpha is multiplied in; both files hold the same change."""
    line = (
        f"train_domain_adapter prior=sd15 prior.path={tiny_folder('sd15')} clips.videos={videos} steps=3 rank=2 "
        f"alpha=0.5 {RECIPE} save_every='1 steps' previews=0 device=cpu"
    )
    killed_and_resumed(command, monkeypatch, TrainDomainAdapter, line, "domain_adapter.safetensors")
    run = command(f"{line} out=whole").directory
    original, peft = (
        load_lora(str(run / f"domain_adapter{name}.safetensors")) for name in ("", "_diffusers")
    )
    assert not original.of_motion and original.rank == 2
    for target, (down, up) in original.pairs().items():
        assert torch.equal(peft.pairs()[target][0], down) and torch.equal(peft.pairs()[target][1], up)
    assert any(up.abs().max() > 0 for _, up in original.pairs().values())
    line = line.replace("train_domain_adapter", "train_motion").replace("rank=2 alpha=0.5", "clips.frames=2")
    with_it = command(f"{line} domain_adapter=whole/domain_adapter.safetensors")
    assert with_it.status == 0, with_it.errors


def test_a_motion_lora_is_trained_resumed_and_saved(command, tiny_folder, videos, monkeypatch, tmp_path):
    """`suite train_motion_lora` on a module in the original's layout, of clips as a zooming camera sees them."""
    save_file(random_original(), tmp_path / "mm.safetensors")
    line = (
        f"train_motion_lora prior=sd15 prior.path={tiny_folder('sd15')} motion=file "
        f"motion.path={tmp_path / 'mm.safetensors'} clips.videos={videos} clips.frames=2 "
        f"camera=zoom_in steps=3 rank=2 {RECIPE} save_every='1 steps' previews=0 device=cpu"
    )
    killed_and_resumed(command, monkeypatch, TrainMotionLora, line, "motion_lora.safetensors")
    run = command(f"{line} out=whole").directory
    lora = load_lora(str(run / "motion_lora.safetensors"))
    assert lora.of_motion and lora.rank == 2 and any(up.abs().max() > 0 for _, up in lora.pairs().values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch, accumulate, reuse and pool must be positive, got 0, 1, 4 and 64"),
        ({"accumulate": 3}, "accumulate=3 does not divide batch=8"),
        ({"optimizer": "sgd"}, "optimizer='sgd' is not one of: muon, adamw"),
        ({"drop": 1.5}, "A recipe needs lr > 0, 0 <= drop <= 1, .* drop=1.5"),
    ],
)
def test_recipes_that_cannot_be(options, message):
    """Counts are positive and fit, shares are shares."""
    with pytest.raises(UserError, match=message):
        Recipe(**options)


def test_options_that_do_not_fit_each_other(tiny_prior, videos, tmp_path):
    """Each stage says what it needs before anything is trained."""
    prior, recipe, clips = tiny_prior("sd15"), Recipe(batch=2, pool=1), ClipData(videos=str(videos), frames=2)
    with pytest.raises(
        UserError, match="40 frames are more than the 32 positions of the motion module in training"
    ):
        TrainMotion(prior=prior, clips=ClipData(videos=str(videos), frames=40), recipe=recipe)
    with pytest.raises(UserError, match="steps must be positive, got 0"):
        TrainMotion(prior=prior, clips=clips, recipe=recipe, steps=0)
    with pytest.raises(UserError, match="learns from single frames: type clips.frames=1, not 2"):
        TrainDomainAdapter(prior=prior, clips=clips, recipe=recipe)
    still = ClipData(videos=str(videos), frames=1)
    with pytest.raises(UserError, match="alpha must be positive, got 0"):
        TrainDomainAdapter(prior=prior, clips=still, recipe=recipe, alpha=0.0)
    save_file(random_original(), tmp_path / "mm.safetensors")
    motion = load(str(tmp_path / "mm.safetensors"))
    with pytest.raises(UserError, match="alpha must be positive, got -1"):
        TrainMotionLora(prior=prior, motion=motion, clips=clips, recipe=recipe, alpha=-1.0)
    with pytest.raises(UserError, match="camera='spin' is not one of"):
        TrainMotionLora(prior=prior, motion=motion, clips=clips, recipe=recipe, camera="spin")
    trainings = (
        (TrainMotion, clips, {}),
        (TrainDomainAdapter, still, {}),
        (TrainMotionLora, clips, {"motion": motion}),
    )
    for stage, data, more in trainings:
        with pytest.raises(
            UserError, match="GaussianPrior has no U-Net to put motion modules into: choose prior"
        ):
            stage(prior=GaussianPrior(), clips=data, recipe=recipe, **more)
