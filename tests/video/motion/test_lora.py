"""LoRAs beside attention's projections: strength 0 is nothing, merged is unmerged, diffusers reads them alike."""

import copy

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

from suite.errors import UserError
from suite.rng import generator
from video.motion.building import fresh
from video.motion.files import load_lora, save_lora
from video.motion.lora import LoRA, fresh_lora
from video.motion_prior import MotionPrior


def filled(lora: LoRA) -> LoRA:
    """With small random matrices in place of the zero ones; large ones make attention chaotic in float32."""
    for i, up in enumerate(lora.up):
        up.data = torch.randn(up.shape, generator=generator(0, i, "up")) / 10
    return lora.requires_grad_(False)


def moving(image, **known: bool) -> object:
    """Motion modules that do something."""
    motion = fresh(image.unet, **known)
    for i, module in enumerate(motion.transformers().values()):
        weight = module.proj_out.weight
        weight.data = torch.randn(weight.shape, generator=generator(0, i, "out")) / 4
    return motion.requires_grad_(False)


def answer(video: MotionPrior) -> torch.Tensor:
    x = torch.randn(1, 2, 4, 8, 8, generator=generator(0, 0, "x"))
    return video.predict(x, torch.tensor([0.5]), video.embed(["a red car"])).raw


@pytest.mark.parametrize("of_motion", [True, False])
def test_strength_zero_is_nothing_and_merged_is_unmerged(of_motion, tiny_prior):
    """W + s B A in the weights gives what s B A beside them gives; two LoRAs add up."""
    image = tiny_prior("sd15")
    motion = moving(image)
    loras = [filled(fresh_lora(motion.adapter if of_motion else image.unet, rank=r, seed=r)) for r in (2, 3)]
    assert [lora.of_motion for lora in loras] == [of_motion] * 2
    base = answer(MotionPrior(image, motion))
    torch.testing.assert_close(
        answer(MotionPrior(image, motion, loras=[(loras[0], 0.0)])), base, atol=0, rtol=0
    )
    beside = answer(MotionPrior(image, motion, loras=[(loras[0], 0.6), (loras[1], -0.3)]))
    if of_motion:
        host, video = motion.adapter, MotionPrior(image, motion)
    else:
        changed = copy.deepcopy(image)
        host, video = changed.unet, MotionPrior(changed, motion)
    loras[0].merge(host, 0.6)
    loras[1].merge(host, -0.3)
    torch.testing.assert_close(answer(video), beside, atol=2e-5, rtol=1e-4)
    assert (beside - base).abs().max() > 1e-3


@pytest.mark.parametrize("peft", [True, False])
def test_a_motion_lora_changes_what_is_multiplied_for_places(peft, tiny_prior, tmp_path):
    """Where modules know places: merged is unmerged, and a file keeps it in either's names."""
    image = tiny_prior("sd15")
    motion = moving(image, places=True)
    for i, module in enumerate(motion.transformers().values()):
        weight = module.placed.out.weight
        weight.data = torch.randn(weight.shape, generator=generator(0, i, "placed")) / 8
    lora = filled(fresh_lora(motion.adapter, rank=2))
    of_places = {name: pair for name, pair in lora.pairs().items() if ".placed." in name}
    assert len(of_places) == 3 * len(motion.transformers())
    lora = LoRA(of_places)
    save_lora(lora, tmp_path / "lora.safetensors", strength=0.7, peft=peft)
    kept = load_lora(str(tmp_path / "lora.safetensors"))
    beside = answer(MotionPrior(image, motion, loras=[(kept, 1.0)]))
    assert (beside - answer(MotionPrior(image, motion))).abs().max() > 1e-3
    lora.merge(motion.adapter, 0.7)
    torch.testing.assert_close(answer(MotionPrior(image, motion)), beside, atol=2e-5, rtol=1e-4)


def test_diffusers_reads_a_domain_adapter_alike(tiny_prior, tmp_path):
    """The file in peft's names, loaded by diffusers into its own U-Net, changes it as here."""
    image = tiny_prior("sd15")
    lora = filled(fresh_lora(image.unet, rank=2))
    save_lora(lora, tmp_path / "adapter.safetensors", strength=0.7, peft=True)
    theirs: UNet2DConditionModel = copy.deepcopy(image.unet)
    theirs.load_lora_adapter(load_file(tmp_path / "adapter.safetensors"), prefix="unet")
    changed = copy.deepcopy(image)
    changed.unet = theirs
    ours = answer(MotionPrior(image, None, loras=[(lora, 0.7)]))
    torch.testing.assert_close(answer(MotionPrior(changed, None)), ours, atol=2e-5, rtol=1e-4)


def test_a_lora_of_another_model_is_refused(tiny_prior):
    """One line: what it is made for."""
    image, xl = tiny_prior("sd15"), tiny_prior("sdxl")
    of_motion = fresh_lora(fresh(image.unet).adapter, rank=1)
    with pytest.raises(
        UserError,
        match="is a MotionLoRA, of motion modules, and there are none: type motion=file motion.path=FILE",
    ):
        MotionPrior(image, None, loras=[(of_motion, 1.0)])
    with pytest.raises(
        UserError, match="is a MotionLoRA, of motion modules with a layer .*, which this one lacks"
    ):
        MotionPrior(xl, fresh(xl.unet), loras=[(of_motion, 1.0)])
    adapter = fresh_lora(image.unet, rank=1)
    target = adapter.targets[0]
    wide = LoRA({target: (torch.zeros(1, 64), torch.zeros(64, 1))}, name="wide.ckpt")
    with pytest.raises(
        UserError, match="wide.ckpt is a domain adapter, of a U-Net with 64 channels at .*; here are"
    ):
        MotionPrior(image, None, loras=[(wide, 1.0)])


def test_a_lora_has_layers_and_a_rank(tiny_prior):
    """Neither none of the one nor zero of the other."""
    with pytest.raises(UserError, match="this LoRA changes no layer"):
        LoRA({})
    with pytest.raises(UserError, match="rank must be positive, got 0"):
        fresh_lora(tiny_prior("sd15").unet, rank=0)
