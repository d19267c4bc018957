"""The arithmetic of motion modules, beside a slow implementation and diffusers' own video U-Net."""

import copy

import pytest
import torch
from diffusers import UNetMotionModel
from safetensors.torch import save_file
from torch import nn

from priors.stable_diffusion import load
from suite.errors import UserError
from suite.rng import generator
from tests.video.motion.originals import PREFIX, random_original, slow_module
from video.motion.building import fresh, taught_places, taught_words
from video.motion.files import load as load_motion
from video.motion.insertion import Insertion, inserted, norms_of_resnets, places
from video.motion.modules import Motion
from video.motion_prior import MotionPrior


def draw(*shape: int, name: str = "x") -> torch.Tensor:
    return torch.randn(*shape, generator=generator(0, 0, name))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Layout v2 with random weights: its tensors, and what is read of its file."""
    tensors, path = random_original(mid=True), tmp_path_factory.mktemp("v2") / "mm.safetensors"
    save_file(tensors, path)
    return tensors, load_motion(str(path))


def test_each_module_equals_the_slow_arithmetic(original):
    """Norms per frame, positions inside each attention after its norm, GEGLU, the outer residual: to 1e-5."""
    tensors, motion = original
    modules = motion.transformers()
    assert len(modules) == 4 * 2 + 4 * 3 + 1
    for name in (
        "down_blocks.0.motion_modules.1",
        "mid_block.motion_modules.0",
        "up_blocks.3.motion_modules.2",
    ):
        module, (block, _, index) = modules[name], name.rpartition(".motion_modules.")
        x = 3 * draw(5, module.in_channels, 2, 3, name=name)
        slow = slow_module(tensors, PREFIX.format(block, index), x, groups=16)
        with torch.no_grad():
            torch.testing.assert_close(module(x, num_frames=5).double(), slow, atol=1e-5, rtol=1e-5)


def test_modules_that_read_words_equal_the_slow_arithmetic(tmp_path):
    """The original's Temporal_Cross as second attention: the query has positions, the words none. Two clips at once."""
    tensors, path = random_original(widths=(16, 32), layers=1, words=24), tmp_path / "mm.safetensors"
    save_file(tensors, path)
    motion, name = load_motion(str(path)), "up_blocks.1.motion_modules.0"
    assert motion.words_width == 24
    words, x = draw(2, 7, 24, name="words"), 3 * draw(2, 5, 16, 2, 3)
    with torch.no_grad():
        fast = motion.transformers()[name](x.flatten(0, 1), words.repeat_interleave(5, 0), num_frames=5)
    for clip, said, found in zip(x, words, fast.unflatten(0, (2, 5))):
        slow = slow_module(tensors, PREFIX.format("up_blocks.1", 0), clip, groups=16, words=said)
        torch.testing.assert_close(found.double(), slow, atol=1e-5, rtol=1e-5)


def test_words_reach_the_modules_that_read_them(tiny_prior):
    """Other words, another clip, also where image layers hear nothing; a prompt may travel from frame to frame."""
    image = tiny_prior("sd15")
    motion = fresh(image.unet, words=True)
    for transformer in motion.transformers().values():
        torch.nn.init.normal_(transformer.proj_out.weight, std=0.1, generator=generator(0, 0, "out"))
    video, x, t = MotionPrior(image, motion), draw(1, 3, 4, 8, 8), torch.tensor([0.6])
    prompts = ["a red car", "a blue car", "a red car"]
    red, blue = (video.embed([prompt]) for prompt in prompts[:2])
    deaf = copy.deepcopy(image)
    heard = deaf.network
    deaf.network = lambda x, t, condition: heard(x, t, red.repeat(len(x)))
    said = [MotionPrior(deaf, motion).predict(x, t, words).raw for words in (red, blue, video.embed(prompts))]
    assert (said[0] - said[1]).abs().max() > 1e-4
    torch.testing.assert_close(said[0], video.predict(x, t, red).raw)
    assert (said[2][:, 1] - said[0][:, 1]).abs().max() > 1e-4


def test_trained_modules_that_are_to_read_words_begin_without_their_second_attention(tmp_path):
    """The slow arithmetic with nothing out of it gives the same, whatever the words are."""
    tensors, path = random_original(widths=(16, 32), layers=1), tmp_path / "mm.safetensors"
    save_file(tensors, path)
    motion, name = load_motion(str(path)), "up_blocks.1.motion_modules.0"
    taught_words(motion, 24)
    assert motion.words_width == 24
    silent = {k: 0 * x if ".attention_blocks.1.to_out" in k else x for k, x in tensors.items()}
    x, words = 3 * draw(5, 16, 2, 3), draw(1, 7, 24, name="words").repeat(5, 1, 1)
    slow = slow_module(silent, PREFIX.format("up_blocks.1", 0), x, groups=16)
    with torch.no_grad():
        fast = motion.transformers()[name](x, words, num_frames=5)
    torch.testing.assert_close(fast.double(), slow, atol=1e-5, rtol=1e-5)


def test_modules_that_know_places_equal_the_slow_arithmetic(tiny_prior, tmp_path):
    """What words, number and place say together is added after the norm; also beside a second attention to words."""
    unet, words, x = tiny_prior("sd15").unet, draw(2, 7, 32, name="words"), 3 * draw(2, 3, 16, 2, 3)
    bags = draw(2, 32, name="bag")
    for attended in (None, 32):
        tensors = random_original(places=32, words=attended)
        save_file(tensors, tmp_path / "mm.safetensors")
        motion = load_motion(str(tmp_path / "mm.safetensors"))
        assert motion.knows_places and motion.words_width == 32 and motion.attends_to_words == bool(attended)
        insertion = Insertion(motion, words=words.repeat_interleave(3, 0), bag=bags.repeat_interleave(3, 0))
        host = places(unet)["up_blocks.3.motion_modules.2"]
        with inserted(unet, insertion, 3), torch.no_grad():
            (hook,) = (h for h in host._forward_hooks.values() if hasattr(h, "module"))
            fast = hook.module(x.flatten(0, 1)).unflatten(0, (2, 3))
        for clip, read, said, found in zip(x, words, bags, fast):
            slow = slow_module(
                tensors,
                PREFIX.format("up_blocks.3", 2),
                clip,
                groups=16,
                said=said,
                words=read if attended else None,
            )
            torch.testing.assert_close(found.double(), slow, atol=2e-5, rtol=1e-5)


def test_modules_that_are_to_know_places_do_as_before(tiny_prior, tmp_path):
    """Until they learn it; then words, number and place count, and recomputing layers changes nothing."""
    image, x, t = tiny_prior("sd15"), draw(1, 3, 4, 8, 8), torch.tensor([0.6])
    save_file(random_original(mid=True), tmp_path / "mm.safetensors")
    motion = load_motion(str(tmp_path / "mm.safetensors"))
    video, found = MotionPrior(image, motion), []
    red, blue = (video.embed([words]) for words in ("a red car", "a blue car"))
    before = video.predict(x, t, red).raw
    taught_places(motion, 32)
    torch.testing.assert_close(video.predict(x, t, red).raw, before)
    outs = [m.placed.out.weight for m in motion.transformers().values()]
    for out in outs:
        nn.init.normal_(out, std=0.3, generator=generator(0, 0, "out"))
        out.requires_grad_(True)
    assert (video.predict(x, t, red).raw - before).abs().max() > 1e-3
    deaf = copy.deepcopy(image)
    heard = deaf.network
    deaf.network = lambda x, t, condition: heard(x, t, red.repeat(len(x)))
    said = [MotionPrior(deaf, motion).predict(x, t, words).raw for words in (red, blue)]
    assert (said[0] - said[1]).abs().max() > 1e-4
    for checkpointing in (False, True):
        loss = MotionPrior(image, motion, checkpointing=checkpointing).predict(
            x, t, red, grad=True, numbers=[0, 4, 9]
        ).raw.square().sum()  # fmt: skip
        found.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, outs)]))
    torch.testing.assert_close(found[0], found[1])
    assert found[0].abs().max() > 0


def test_some_frames_of_a_clip_keep_their_numbers(tiny_prior, tmp_path):
    """Frames 0, 3 and 5 alone: as the first three of modules whose table has the rows 0, 3 and 5 there."""
    tensors, numbers = random_original(mid=True), [0, 3, 5]
    moved = {
        k: torch.cat([v[:, numbers], v[:, 3:]], 1) if k.endswith(".pe") else v for k, v in tensors.items()
    }
    for name, some in (("own", tensors), ("moved", moved)):
        save_file(some, tmp_path / f"{name}.safetensors")
    image, x, t = tiny_prior("sd15"), draw(1, 3, 4, 8, 8), torch.tensor([0.6])
    own, others = (
        MotionPrior(image, load_motion(str(tmp_path / f"{n}.safetensors"))) for n in ("own", "moved")
    )
    condition = own.embed(["a red car"])
    found = own.predict(x, t, condition, numbers=numbers).raw
    torch.testing.assert_close(found, others.predict(x, t, condition).raw)
    assert (found - own.predict(x, t, condition).raw).abs().max() > 1e-3
    with pytest.raises(UserError, match="41 frames are more than the 32 positions"):
        own.predict(x, t, condition, numbers=[0, 3, 40])


def test_words_of_another_width_are_refused(tiny_prior, tmp_path):
    save_file(random_original(words=24), tmp_path / "mm.safetensors")
    motion = load_motion(str(tmp_path / "mm.safetensors"))
    with pytest.raises(UserError, match="reads words of .* numbers each; this prior's have"):
        motion.check_fit(tiny_prior("sd15").unet)


def test_the_whole_network_is_the_originals(original, tiny_prior):
    """diffusers' own video U-Net of the same weights, its norms made per-frame, gives the same; two clips at once."""
    unet, (_, motion) = tiny_prior("sd15").unet, original
    oracle = UNetMotionModel.from_unet2d(unet, motion.adapter).eval()
    x, t, tokens = draw(2, 4, 3, 8, 8), torch.tensor([700, 20]), draw(2, 5, 32, name="tokens")
    theirs = dict(oracle.named_modules())
    for name, own in motion.transformers().items():
        assert type(theirs[name].norm) is nn.GroupNorm
        theirs[name].norm = own.norm
    with torch.no_grad(), inserted(unet, Insertion(motion), 3):
        ours = unet(
            x.transpose(1, 2).flatten(0, 1), t.repeat_interleave(3), tokens.repeat_interleave(3, 0)
        ).sample
    with torch.no_grad():
        theirs = oracle(x, t, tokens.repeat_interleave(3, 0)).sample
    torch.testing.assert_close(ours.unflatten(0, (2, 3)).transpose(1, 2), theirs, atol=1e-5, rtol=1e-4)


def test_v1_normalises_over_all_frames_in_resnets(tiny_prior):
    """With across_frames the norms of resnets see a clip's frames as one picture; computed here by their definition."""
    unet = tiny_prior("sd15").unet
    motion = Motion(fresh(unet, positions=24).adapter, across_frames=True)
    slow = copy.deepcopy(unet)
    for norm in norms_of_resnets(slow):
        norm.forward = _joint_norm(norm, frames=3)
    x, t, tokens = draw(6, 4, 8, 8), torch.full((6,), 500), draw(6, 5, 32, name="tokens")
    with torch.no_grad():
        with inserted(unet, Insertion(motion), 3):
            ours = unet(x, t, tokens).sample
        torch.testing.assert_close(ours, slow(x, t, tokens).sample, atol=1e-5, rtol=1e-4)
        assert (ours - unet(x, t, tokens).sample).abs().max() > 1e-3


def _joint_norm(norm: nn.GroupNorm, frames: int):
    def forward(x: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(x)
        for clip in range(0, len(x), frames):
            for group in range(norm.num_groups):
                n = x.shape[1] // norm.num_groups
                part = x[clip : clip + frames, group * n : (group + 1) * n].double()
                scaled = (part - part.mean()) / (part.var(unbiased=False) + norm.eps).sqrt()
                out[clip : clip + frames, group * n : (group + 1) * n] = scaled.float()
        return out * norm.weight[:, None, None] + norm.bias[:, None, None]

    return forward


@pytest.mark.parametrize("family", ["pocket", "sd15", "sd21", "sdxl"])
def test_a_fresh_module_changes_nothing(family, tiny_prior):
    """Its last layer is zero: the clip's prediction is the image model's of each frame, to 1e-6."""
    image = load("pocket") if family == "pocket" else tiny_prior(family)
    video = MotionPrior(image, fresh(image.unet, mid=True))
    side = image.unet.config.sample_size
    x, t = draw(1, 3, image.latent_channels, side, side), torch.tensor([0.4])
    condition = image.embed(["a red car"])
    clip = video.predict(x, t, condition).raw[0]
    apart = image.predict(x[0], t.repeat(3), condition.repeat(3)).raw
    torch.testing.assert_close(clip, apart, atol=1e-6, rtol=0)


def test_one_frame_and_the_order_of_frames(original, tiny_prior):
    """One frame works. Without positions nothing tells frames apart: permuting them permutes the answer."""
    image, motion = tiny_prior("sd15"), copy.deepcopy(original[1])
    assert len(places(image.unet)) == len(motion.transformers())
    video, t, condition = MotionPrior(image, motion), torch.tensor([0.6]), image.embed(["a red car"])
    x, order = draw(1, 4, 4, 8, 8), torch.tensor([2, 0, 3, 1])
    assert video.predict(x[:, :1], t, condition).raw.isfinite().all()
    with_positions = (
        video.predict(x[:, order], t, condition).raw - video.predict(x, t, condition).raw[:, order]
    )
    for name, table in motion.adapter.named_buffers():
        assert name.endswith("pos_embed.pe")
        table.zero_()
    without = video.predict(x[:, order], t, condition).raw - video.predict(x, t, condition).raw[:, order]
    assert without.abs().max() < 1e-5 < 1e-3 < with_positions.abs().max()


def test_the_image_prior_stays_as_it_was(original, tiny_prior):
    """After a call no hook is left, also after one that failed."""
    image = tiny_prior("sd15")
    video = MotionPrior(image, original[1])
    video.predict(draw(1, 2, 4, 8, 8), torch.tensor([0.5]), image.embed(["a red car"]))
    with pytest.raises(RuntimeError):
        video.predict(draw(1, 2, 5, 8, 8), torch.tensor([0.5]), image.embed(["a red car"]))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in image.unet.modules())


def test_checkpointing_gives_the_same_gradient(original, tiny_prior):
    """Layers computed again in the backward pass have motion modules, norms and all as in the forward pass."""
    image, motion = tiny_prior("sd15"), copy.deepcopy(original[1]).requires_grad_(True)
    motion.across_frames = True
    found = []
    for checkpointing in (False, True):
        video = MotionPrior(image, motion, checkpointing=checkpointing)
        raw = video.predict(
            draw(1, 2, 4, 8, 8), torch.tensor([0.5]), image.embed(["a red car"]), grad=True
        ).raw
        found.append(torch.autograd.grad(raw.square().mean(), list(motion.parameters())))
    for plain, again in zip(*found):
        torch.testing.assert_close(plain, again, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"heads": 5}, "heads=5 does not divide"), ({"positions": 0}, "positions must be positive, got 0")],
)
def test_shapes_that_cannot_be(options, message, tiny_prior):
    """Heads divide the channels; there is at least one position."""
    with pytest.raises(UserError, match=message):
        fresh(tiny_prior("sd15").unet, **options)


def test_another_base_model_and_too_many_frames(original, tiny_prior):
    """One line each: what the module belongs to, and that windows are the way to long clips."""
    with pytest.raises(
        UserError, match="belongs to a U-Net of 16, 32, 32, 32 channels with 2 layers a block; this"
    ):
        MotionPrior(load("pocket"), original[1])
    image = tiny_prior("sd15")
    with pytest.raises(
        UserError, match="33 frames are more than the 32 positions .* let context windows of 32"
    ):
        MotionPrior(image, original[1]).predict(
            draw(1, 33, 4, 8, 8), torch.tensor([0.5]), image.embed(["a red car"])
        )
    with pytest.raises(UserError, match="noise='linear' is not one of: prior, animatediff, animatediff_xl"):
        Motion(original[1].adapter, noise="linear")
