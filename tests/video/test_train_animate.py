"""Training of pose-guided animation: samples, the loss, accumulation, resuming, what each stage changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from suite.errors import UserError
from suite.geometry.skeletons import COCO_17, Poses
from suite.io.poses import write_poses
from suite.io.videos import write_video
from suite.rng import generator
from suite.run import Run
from suite.toyworld.animations import Animations
from suite.toyworld.characters import describe
from suite.toyworld.motions import held_out_motion
from tests.video.animate.networks import animator
from tests.video.test_train_motion import killed_and_resumed
from video.animate.animator import fresh
from video.animate.files import load, needs_prior, save
from video.animate.sources import AnimationData, FolderAnimations
from video.animate.training import part_loss, prepared, samples_of, strips
from video.motion.building import fresh as fresh_motion
from video.motion.training import Recipe
from video.train_animate import TrainAnimate

RECIPE = (
    "recipe.batch=2 recipe.accumulate=2 recipe.pool=1 recipe.half=false recipe.optimizer=adamw recipe.lr=0.01"
)


@pytest.fixture
def films(tmp_path):
    """Two GIFs of four frames of 24 x 32 pixels, with COCO's joints of someone who drifts to the right."""
    folder = tmp_path / "films"
    for i, name in enumerate(("one", "two")):
        frames = torch.rand(4, 3, 24, 32, generator=generator(0, i, "film"))
        write_video(folder / f"{name}.gif", frames, fps=8)
        points = torch.stack([torch.arange(17.0) + 4, torch.arange(17.0) + 3], -1).repeat(4, 1, 1)
        points[..., 0] += torch.arange(4.0)[:, None]
        write_poses(folder / f"{name}.json", Poses(points, torch.ones(4, 17), COCO_17, size=(24, 32)))
    return folder


def training(prior, films, *, stage: int = 1, init: str = "", frames: int = 2, **recipe) -> TrainAnimate:
    options = dict(batch=2, pool=1, half=False, drop=0.5) | recipe
    data = AnimationData(videos=str(films), frames=frames)
    return TrainAnimate(
        prior=prior, animations=data, recipe=Recipe(**options), steps=4, stage=stage, init=init
    )


def test_people_are_where_their_joints_are():
    """Joints lie on the person's pixels; the split is that of clips; batches follow from seed and number."""
    animations = Animations(size=48, frames=1, backdrops=0.0, motions=("walking",))
    batch, again = animations.batch(3, 1, 2), animations.batch(3, 1, 2)
    assert np.array_equal(batch.frames, again.frames) and batch.frames.shape == (3, 2, 48, 48, 3)
    for frames, label in zip(batch.frames, batch.labels):
        assert not held_out_motion(describe(label.outfit), label.motion)
        for picture, points in zip(frames, label.poses.points):
            person = np.abs(picture - picture[0, 0]).max(-1) > 0.03
            names = ("left_knee", "right_knee", "left_hip", "right_hip", "nose", "left_shoulder")
            x, y = points[[COCO_17.index(name) for name in names]].long().T
            assert person[y, x].mean() >= 0.8
    held = Animations(size=8, frames=1, split="held_out").batch(1, 0, 0).labels[0]
    assert held_out_motion(describe(held.outfit), held.motion)
    for options, message in (
        ({"split": "test"}, "A split is train, held_out or all, got 'test'"),
        ({"frames": 0}, "at least one frame and one pixel, got frames=0"),
        ({"motions": ("flying",)}, "The motions of people are waving, .*; got 'flying'"),
    ):
        with pytest.raises(ValueError, match=message):
            Animations(**options)


def test_films_keep_their_poses(films):
    """The middle square of 24 x 32 begins at x = 4; at twice the size joints are twice as far from its corner."""
    batch = FolderAnimations(films, frames=2, size=48).batch(2, 0, 0)
    assert batch.frames.shape == (2, 3, 48, 48, 3)
    for label in batch.labels:
        points = label.poses.points
        assert torch.allclose(points[:, 0, 1], torch.full((3,), 6.0)) and label.poses.size == (48, 48)
        assert float(points[2, 0, 0] - points[1, 0, 0]) == pytest.approx(2.0)  # a pixel a frame, doubled
        assert bool((points[:, 0, 0] % 2 == 0).all())
    (films / "one.json").unlink()
    with pytest.raises(UserError, match="one.gif has no poses: one.json or a folder one beside it"):
        FolderAnimations(films)
    (films / "one.gif").unlink()
    with pytest.raises(UserError, match="two.gif has 4 frames with poses, and 5 at every=1 take 5"):
        FolderAnimations(films, frames=5).batch(1, 0, 0)
    with pytest.raises(UserError, match="must be positive, got 0, 64 and 1"):
        FolderAnimations(films, frames=0)
    with pytest.raises(UserError, match="There is no folder of videos at"):
        FolderAnimations(films / "none")
    (films / "two.gif").unlink()
    with pytest.raises(UserError, match="has no videos"):
        FolderAnimations(films)


def test_accumulated_halves_are_the_whole(tiny_prior, films):
    """Two halves leave the gradient of the full batch: no bank outlives its part; checkpointing changes nothing."""
    found = []
    for accumulate, checkpointing in ((1, False), (2, False), (2, True)):
        task = training(tiny_prior("sd15"), films, accumulate=accumulate, checkpointing=checkpointing)
        task.training.learning.guider.conv_out.weight.data.normal_(
            0, 0.1, generator=generator(0, 0, "guider")
        )
        loss = task.loss(0, generator(0, 0, "step"))
        loss.backward()
        gradient = torch.cat(
            [p.grad.flatten() for p in task.training.learning.parameters() if p.grad is not None]
        )
        found.append((loss.detach(), gradient))
    whole = found[0][1]
    for loss, gradient in found[1:]:
        torch.testing.assert_close(loss, found[0][0], atol=1e-6, rtol=1e-5)
        assert (gradient - whole).norm() < 5e-4 * whole.norm()  # float32 sums in another order


def test_the_perfect_answer_has_no_loss(tiny_prior, films, monkeypatch):
    """A denoiser that answers each clip's own eps gives 0; strips show still, pose, result and truth."""
    task = training(tiny_prior("sd15"), films)
    clips, labels = task.pool.draw(0, generator(0, 0, "clips"))
    samples = samples_of(clips, [label.poses for label in labels])
    prior = task.animate(task.training.learning)
    step = prepared(prior, samples, task.recipe, generator(0, 0, "noise"))

    def perfect(x_t, t, condition, *, grad):
        assert torch.equal(t, step.noise.t) and "shown" in condition.tensors
        return replace(prediction, x_t=x_t, raw=step.noise.eps.unflatten(1, (1, 4)))

    condition = prior.embed(samples.stills, samples.poses)
    prediction = prior.predict(step.noise.x_t.unflatten(1, (1, 4)), step.noise.t, condition)
    monkeypatch.setattr(prior, "predict", perfect)
    assert float(part_loss(prior, step, slice(0, 2), task.recipe)) < 1e-9
    pictures, words = strips(samples, samples.truth)
    assert pictures.shape == (8, 3, 64, 64) and words == ["reference", "pose", "result", "truth"] * 2
    assert torch.equal(pictures[2], pictures[3]) and torch.equal(pictures[0], samples.stills[0])
    sparse = samples_of(clips, [label.poses for label in labels], generator(0, 0, "x"), 0.9)
    assert float(sparse.poses.sum()) < 0.5 * float(samples.poses.sum())


def test_both_stages_are_trained_resumed_and_saved(command, tiny_folder, tiny_prior, films, monkeypatch):
    """`suite train_animate` twice: stage 1 changes all but motion, stage 2 motion alone; previews on the way."""
    line = (
        f"train_animate prior=sd15 prior.path={tiny_folder('sd15')} animations.videos={films} "
        f"animations.frames=2 steps=3 {RECIPE} save_every='1 steps' previews=0 device=cpu"
    )
    product = "animator/pose_guider.safetensors"
    killed_and_resumed(command, monkeypatch, TrainAnimate, line, product)
    image = tiny_prior("sd15")
    first = load("whole/animator", image)
    assert first.motion is None and float(first.guider.conv_out.weight.abs().max()) > 0
    for unet in (first.denoiser, first.reference):
        assert not torch.equal(unet.conv_in.weight, image.unet.conv_in.weight)
    done = command(line.replace("previews=0", "previews=1") + " stage=2 init=whole/animator out=second")
    assert done.status == 0, done.errors
    assert list((done.directory / "images").glob("samples_*.png"))
    second = load("second/animator", image)
    for part in ("denoiser", "reference", "guider", "image_encoder"):
        ours, theirs = (getattr(parts, part).state_dict() for parts in (first, second))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    moved = load_file("second/animator/motion_module.safetensors")
    assert any("proj_out" in name and float(x.abs().max()) > 0 for name, x in moved.items())


@pytest.mark.parametrize(
    ("learn", "parts"), [("attention", ("denoiser", "reference")), ("denoiser", ("reference",))]
)
def test_attention_alone_may_learn(learn, parts, tiny_prior, films, tmp_path):
    """Gradients in attentions of these U-Nets, guider and image encoder; what cannot have changed is not saved."""
    data, recipe = AnimationData(videos=str(films), frames=2), Recipe(batch=2, pool=1, half=False)
    task = TrainAnimate(prior=tiny_prior("sd15"), animations=data, recipe=recipe, steps=4, learn=learn)
    task.loss(0, generator(0, 0, "step")).backward()
    others = [name for name, p in task.training.learning.denoiser.named_parameters() if ".attn" not in name]
    for part in parts:
        for name, p in getattr(task.training.learning, part).named_parameters():
            assert p.grad is None or ".attn" in name
    assert ("denoiser" in parts) == all(
        task.training.learning.denoiser.get_parameter(name).grad is None for name in others
    )
    with Run(tmp_path / "run") as run:
        task.finish(run)
    assert not (tmp_path / "run" / "animator" / "reference_unet").exists()
    assert not load_file(tmp_path / "run" / "animator" / "reference_unet.safetensors"), (
        "nothing was learnt yet"
    )
    with torch.no_grad():  # something was
        for unet in (task.training.average.denoiser, task.training.average.reference):
            for name, p in unet.named_parameters():
                p.add_(0.01 if ".attn" in name else 0.0)
    with Run(tmp_path / "first") as run:
        task.finish(run)
    second = TrainAnimate(
        prior=tiny_prior("sd15"), animations=data, recipe=recipe, steps=4, stage=2, half=True, shared_noise=0.25,
        init=str(tmp_path / "first" / "animator"),
    )  # fmt: skip
    with Run(tmp_path / "second") as run:
        second.finish(run)
    folder = tmp_path / "second" / "animator"
    assert needs_prior(folder) and not (folder / "reference_unet").exists()
    assert load_file(folder / "pose_guider.safetensors")["conv_in.weight"].dtype == torch.float16
    assert load(str(folder), tiny_prior("sd15")).motion.shared_noise == 0.25


def test_moments_of_a_still_are_learnt_each_by_itself(tiny_prior, films):
    """Two moments of each of two clips: the loss is the mean of what each moment's own training says."""
    prior = tiny_prior("sd15")
    task = TrainAnimate(
        prior=prior, steps=4, recipe=Recipe(batch=2, pool=1, half=False, drop=0.0),
        animations=AnimationData(videos=str(films), moments=2),
    )  # fmt: skip
    clips, labels = task.pool.draw(0, generator(0, 0, "clips"))
    samples = samples_of(clips, [label.poses for label in labels])
    assert samples.truth.shape[1] == 2
    video = task.animate(task.training.learning)
    step = prepared(video, samples, task.recipe, generator(0, 0, "noise"))
    whole = part_loss(video, step, slice(0, 2), task.recipe)
    moments = []
    for k in (0, 1):
        one = replace(samples, truth=samples.truth[:, k : k + 1], poses=samples.poses[:, k : k + 1])
        noise = replace(
            step.noise,
            **{name: getattr(step.noise, name).unflatten(1, (2, -1))[:, k] for name in ("x_0", "x_t", "eps")},
        )
        moments.append(part_loss(video, replace(step, samples=one, noise=noise), slice(0, 2), task.recipe))
    torch.testing.assert_close(whole, (moments[0] + moments[1]) / 2)
    with pytest.raises(UserError, match="moments must be positive, got 0"):
        AnimationData(moments=0)


def test_options_that_do_not_fit(tiny_prior, films, tmp_path):
    """Each says what to type."""
    prior = tiny_prior("sd15")
    for options, message in (
        ({"stage": 3}, "stage is 1 .single frames. or 2 .motion., got 3"),
        ({"stage": 2}, "Stage 2 needs what stage 1 made: type init=RUN/animator"),
        ({"modules": "mm.ckpt"}, "Motion modules learn in stage 2: type stage=2"),
        ({"learn": "some"}, "learn='some' is not one of: all, denoiser, attention"),
        ({"stage": 2, "init": "x", "learn": "attention"}, "learn= is for stage 1"),
        ({"steps": 0}, "steps must be positive, got 0"),
        ({"shared_noise": 0.5}, "In stage 1 each frame is by itself: shared_noise= is for stage 2"),
    ):
        with pytest.raises(UserError, match=message):
            TrainAnimate(prior=prior, animations=AnimationData(), recipe=Recipe(), **options)
    reader = fresh_motion(prior.unet, words=True)
    with pytest.raises(UserError, match="reads words, and an animator is told none"):
        fresh(prior).with_motion(reader)
    with pytest.raises(UserError, match="missing is a share of the joints, at least 0 and below 1, got 1"):
        AnimationData(missing=1.0)
    save(animator(prior, motion=True), tmp_path / "made")
    with pytest.raises(UserError, match="9 frames are more than the 8 positions"):
        training(prior, films, stage=2, init=str(tmp_path / "made"), frames=9)
