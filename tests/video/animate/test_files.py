"""Animators on disk: this package's folders, and Moore-AnimateAnyone's layout with random weights."""

import copy

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from suite.errors import UserError
from tests.video.animate.networks import animator, asked
from tests.video.motion.originals import random_original
from video.animate.animate_prior import AnimatePrior
from video.animate.animator import fresh
from video.animate.files import load, save
from video.animate.pose_guider import PoseGuider


def answer(image, parts) -> torch.Tensor:
    q, prior = asked(1, 2), AnimatePrior(image, parts)
    return prior.predict(q["x_t"], q["t"], prior.embed(q["stills"], q["poses"])).raw


def test_folders_round_trip(tiny_prior, tmp_path):
    """What was saved is loaded, bit for bit, with motion modules and without; in half precision about so."""
    image = tiny_prior("sd15")
    parts = animator(image, motion=True)
    save(parts, tmp_path / "whole")
    back = load(str(tmp_path / "whole"), image)
    ours, theirs = parts.state_dict(), back.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert back.noise == "prior" and not any(p.requires_grad for p in back.parameters())
    save(parts.with_motion(None), tmp_path / "half", half=True)
    half = load(str(tmp_path / "half"), image)
    assert half.motion is None and half.denoiser.dtype == torch.float32
    difference = answer(image, half) - answer(image, parts.with_motion(None))
    assert float(difference.abs().max()) < 0.02
    refused_folders(tmp_path / "whole", image)


def test_only_what_differs_from_the_prior(tiny_prior, tmp_path):
    """Smaller files, the same animator bit for bit; other weights of the prior are refused."""
    image = tiny_prior("sd15")
    parts = fresh(image, layers=1).requires_grad_(False)
    parts.reference.mid_block.attentions[0].proj_in.weight += 1
    parts.denoiser.conv_in.bias += 1
    save(parts, tmp_path / "part", base=image.unet)
    assert load_file(tmp_path / "part" / "denoising_unet.safetensors").keys() == {"conv_in.bias"}
    back = load(str(tmp_path / "part"), image)
    ours, theirs = parts.state_dict(), back.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    other = copy.deepcopy(image)
    other.unet.conv_in.bias.data += 1e-3
    with pytest.raises(UserError, match="belongs to other weights of this prior"):
        load(str(tmp_path / "part"), other)
    save_file({"conv_in.wrong": torch.zeros(1)}, tmp_path / "part" / "denoising_unet.safetensors")
    with pytest.raises(UserError, match=r"denoising_unet.safetensors does not fit: 1 unexpected"):
        load(str(tmp_path / "part"), image)
    (tmp_path / "part" / "reference_unet.safetensors").unlink()
    (tmp_path / "part" / "denoising_unet.safetensors").unlink()
    with pytest.raises(UserError, match="has no denoising_unet.safetensors"):
        load(str(tmp_path / "part"), image)


def refused_folders(folder, image) -> None:
    """Each damage is told in one line."""
    guider = load_file(folder / "pose_guider.safetensors")
    save_file(
        {name: x for name, x in guider.items() if name != "conv_out.bias"}, folder / "pose_guider.safetensors"
    )
    with pytest.raises(UserError, match=r"pose_guider.safetensors does not fit: 1 missing \(conv_out.bias\)"):
        load(str(folder), image)
    (folder / "reference_unet").rename(folder / "elsewhere")
    with pytest.raises(UserError, match="has no folder reference_unet/. Copy it again"):
        load(str(folder), image)
    (folder / "animator.json").write_text('{"noise": "prior"}')
    with pytest.raises(UserError, match="must say noise and guider_widths, nothing else: see guider_widths"):
        load(str(folder), image)
    (folder / "animator.json").unlink()
    with pytest.raises(UserError, match="is no animator: it has neither animator.json nor"):
        load(str(folder), image)
    with pytest.raises(UserError, match="There is no folder of an animator at"):
        load(str(folder / "nowhere"), image)


def moore_folder(image, folder) -> dict[str, dict[str, torch.Tensor]]:
    """The four files and an image encoder, as Moore-AnimateAnyone lays them out, with random weights."""
    parts = animator(image, seed=3)
    reference, denoiser = (
        {name: x.clone() for name, x in unet.state_dict().items()}
        for unet in (parts.reference, parts.denoiser)
    )
    for name in [name for name in reference if name.startswith(("conv_norm_out", "conv_out"))]:
        del reference[name]
    draws = torch.Generator().manual_seed(1)
    guider = {
        name: torch.randn(x.shape, generator=draws) / 10
        for name, x in PoseGuider(16, (4, 8, 12, 16)).state_dict().items()
    }
    files = {
        "reference_unet": reference, "denoising_unet": denoiser, "pose_guider": guider,
        "motion_module": random_original(mid=True),
    }  # fmt: skip
    folder.mkdir()
    for name, tensors in files.items():
        torch.save(tensors, folder / f"{name}.pth")
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16,
        patch_size=8, projection_dim=32,
    )  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(folder / "image_encoder")
    return files


def test_moores_files(tiny_prior, tmp_path):
    """Every tensor arrives where its name says; what may be missing is exactly the ReferenceNet's last layers."""
    image, folder = tiny_prior("sd15"), tmp_path / "moore"
    files = moore_folder(image, folder)
    parts = load(str(folder), image)
    assert parts.noise == "moore" and parts.guider.widths == (4, 8, 12, 16)
    for unet, name in ((parts.reference, "reference_unet"), (parts.denoiser, "denoising_unet")):
        assert all(torch.equal(unet.state_dict()[key], x) for key, x in files[name].items())
    assert all(torch.equal(parts.guider.state_dict()[key], x) for key, x in files["pose_guider"].items())
    assert "mid_block.motion_modules.0" in parts.motion.transformers() and not parts.motion.across_frames
    prior, q = AnimatePrior(image, parts), asked(1, 2)
    condition = prior.embed(q["stills"], q["poses"])
    assert condition.tensors["tokens"].shape == (1, 1, 32) and prior.kind == "v"
    whole = prior.predict(q["x_t"], q["t"], condition).raw
    changed = copy.deepcopy(parts.reference.state_dict())
    parts.reference.load_state_dict({k: x * 0 if k.startswith("conv_out") else x for k, x in changed.items()})
    again = prior.predict(q["x_t"], q["t"], prior.embed(q["stills"], q["poses"])).raw
    assert torch.equal(whole, again)  # what is missing is not used
    later_and_refused(files, folder, image)


def later_and_refused(files, folder, image) -> None:
    """The latest of training's own dumps, motion modules inside, none at all; and what is refused."""
    (folder / "motion_module.pth").unlink()
    (folder / "denoising_unet.pth").rename(folder / "denoising_unet-10.pth")
    later = {name: x + 1 for name, x in files["denoising_unet"].items()}
    inside = {"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": torch.ones(16)}
    torch.save(later | inside, folder / "denoising_unet-200.pth")
    parts = load(str(folder), image, noise="moore_training")
    assert parts.motion is None and parts.noise == "moore_training"
    assert torch.equal(parts.denoiser.conv_in.bias, later["conv_in.bias"])
    torch.save(later | {"mystery.weight": torch.ones(1)}, folder / "denoising_unet-200.pth")
    with pytest.raises(
        UserError, match=r"denoising_unet-200.pth does not fit: 1 unexpected \(mystery.weight\)"
    ):
        load(str(folder), image)
    torch.save({k: x for k, x in later.items() if "conv_out" not in k}, folder / "denoising_unet-200.pth")
    with pytest.raises(UserError, match="does not fit: 2 missing .conv_out.bias, conv_out.weight"):
        load(str(folder), image)
    (folder / "denoising_unet-200.pth").write_bytes(b"PK\x03\x04 no tensors")
    with pytest.raises(UserError, match="denoising_unet-200.pth"):
        load(str(folder), image)
    (folder / "denoising_unet-200.pth").unlink()
    torch.save(files["denoising_unet"], folder / "pose_guider.pth")
    with pytest.raises(UserError, match="does not fit"):
        load(str(folder), image)
    torch.save({"something": torch.ones(1)}, folder / "pose_guider.pth")
    with pytest.raises(UserError, match="is no pose guider: it has no convolution conv_out"):
        load(str(folder), image)
    (folder / "pose_guider.pth").unlink()
    with pytest.raises(UserError, match="has no pose_guider.pth. Download it again"):
        load(str(folder), image)
    with pytest.raises(UserError, match="There is no image encoder at"):
        load(str(folder), image, image_encoder=str(folder / "nowhere"))
    (folder / "image_encoder" / "config.json").write_text('{"architectures": ["ViTModel"]}')
    with pytest.raises(
        UserError, match="holds a ViTModel, not a CLIPVisionModel or CLIPVisionModelWithProjection"
    ):
        load(str(folder), image)
