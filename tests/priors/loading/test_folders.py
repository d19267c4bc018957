"""Folders in diffusers' layout: each way in which one can be wrong has its one line."""

import logging
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from priors.checkpoints import load_components
from priors.loading.folders import wanted_files
from priors.loading.weights import choose
from suite.errors import UserError
from tests.priors.tiny_checkpoints import edit_json, refused


def test_not_a_checkpoint(tmp_path):
    (tmp_path / "v1-5.safetensors").write_bytes(b"")
    message = refused(tmp_path)
    assert (
        "has no model_index.json" in message and f"Did you mean '{tmp_path / 'v1-5.safetensors'}'?" in message
    )


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_component_absent(part, own):
    place = own()
    shutil.rmtree(place / part)
    message = refused(place)
    assert f"has no folder {part}/" in message and "It holds: model_index.json" in message


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_absent(part, own):
    place = own()
    next((place / part).glob("*.safetensors")).unlink()
    assert f"'{place / part}' has no weights. It holds: config.json." in refused(place)


def test_configuration_absent(own):
    place = own()
    (place / "vae" / "config.json").unlink()
    assert f"'{place / 'vae'}' has no config.json" in refused(place)


def test_vocabulary_absent(own):
    place = own()
    (place / "tokenizer" / "tokenizer.json").unlink()
    assert "has no CLIP vocabulary" in refused(place)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_one_tensor_missing_or_too_many(part, own):
    """diffusers would go on with a parameter that has no memory."""
    place = own()
    (path,) = (place / part).glob("*.safetensors")
    tensors = load_file(path)
    name = sorted(tensors)[-1]
    save_file({k: v for k, v in tensors.items() if k != name}, path, metadata={"format": "pt"})
    message = refused(place)
    assert "1 missing" in message and name.removeprefix("text_model.") in message
    save_file(tensors | {"surplus.weight": torch.zeros(1)}, path, metadata={"format": "pt"})
    assert "1 unknown (surplus.weight)" in refused(place)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_configuration_of_another_size(part, own):
    place = own()
    other = {"hidden_size": 64} if part == "text_encoder" else {"block_out_channels": [32, 32, 32, 32]}
    edit_json(place / part / "config.json", **other)
    assert f"'{place / part}' cannot be loaded as" in refused(place)


def test_other_pipeline(own):
    place = own()
    edit_json(place / "model_index.json", _class_name="StableDiffusion3Pipeline")
    assert "holds a StableDiffusion3Pipeline, which is another kind of model" in refused(place)


def test_pipeline_without_a_component(own):
    place = own("sdxl")
    edit_json(place / "model_index.json", text_encoder=[None, None])
    assert "is a StableDiffusionXLPipeline without text_encoder" in refused(place)


@pytest.mark.parametrize("family, asked", [("sdxl", "sd15"), ("sd15", "sdxl"), ("sd21_v", "sd15")])
def test_folder_of_another_family(family, asked, folder):
    message = refused(folder(family), family=asked)
    assert f"Type prior={family.removesuffix('_v')}." in message


def test_folder_predicts_something_else(folder):
    message = refused(folder("sd21_v"), prediction_type="epsilon")
    assert "predicts v_prediction (scheduler/scheduler_config.json), not epsilon" in message


def test_inpainting_folder(own):
    place = own()
    edit_json(place / "unet" / "config.json", in_channels=9)
    assert "has a U-Net of 9 input channels" in refused(place)


def test_damaged_json(own):
    place = own()
    (place / "scheduler" / "scheduler_config.json").write_text("{")
    assert "scheduler_config.json' is not valid JSON" in refused(place)
    (place / "scheduler" / "scheduler_config.json").unlink()
    assert "There is no file" in refused(place)


@pytest.mark.parametrize(
    "component, words",
    [
        (["os", "system"], "asks for os.system; only classes of"),
        (["diffusers", "AutoencoderXY"], "does not exist here"),
    ],
)
def test_foreign_component(component, words, own):
    """model_index.json is data: it cannot have anything imported."""
    place = own()
    edit_json(place / "model_index.json", vae=component)
    assert words in refused(place)


# ---------------------------------------------------------------------------------------------- weight files


def test_truncated(own, single_file, tmp_path):
    """With the size that it has and should have; nothing is read before."""
    place = own()
    path = place / "unet" / "diffusion_pytorch_model.safetensors"
    size = path.stat().st_size
    os.truncate(path, size - 1000)
    assert f"{path} is cut short: {size - 1000:,} of {size:,} bytes" in refused(place)
    file = Path(shutil.copy(single_file("sd15"), tmp_path / "x.safetensors"))
    os.truncate(file, 12_345)
    assert "(12,345 bytes) is not a safetensors file" in refused(file)


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_garbage(suffix, tmp_path):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(bytes(range(256)) * 100)
    message = refused(path)
    assert str(path) in message and "25,600 bytes" in message and "Download it again" in message


def test_empty_checkpoint(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "x.ckpt")
    assert "holds no tensors" in refused(tmp_path / "x.ckpt")


@pytest.mark.parametrize("name", ["x.safetensors", "x.ckpt"])
def test_git_lfs_pointer(name, tmp_path):
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:30eb\nsize 1680\n")
    assert "is a Git LFS pointer, not the weights. Type `git lfs pull`" in refused(tmp_path / name)


def test_absent_variant(folder, caplog):
    """Loaded without it, and said so."""
    with caplog.at_level(logging.WARNING):
        load_components(folder("sd15"), variant="fp16")
    assert "has no variant fp16; taking diffusion_pytorch_model.safetensors" in caplog.text


def test_variants():
    names = ["config.json", "model.safetensors", "model.fp16.safetensors", "model.bin", "openvino_model.bin"]
    assert choose(names, "fp16") == (["model.fp16.safetensors"], "fp16")
    assert choose(names, None) == choose(names, "bf16") == (["model.safetensors"], None)
    assert choose(["model.fp16.bin"], None) == (["model.fp16.bin"], "fp16")
    shards = [f"model.fp16-0000{i}-of-00002.safetensors" for i in (1, 2)]
    assert choose([*shards, "model-00001-of-00001.safetensors"], "fp16") == (shards, "fp16")
    assert choose(["config.json"], None) == ([], None)


def test_repository_of_another_layout():
    with pytest.raises(UserError, match="not in diffusers' layout"):
        wanted_files(["model.gguf"], None)
