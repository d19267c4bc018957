"""Single files of the original releases: each way in which one can be wrong has its one line."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from priors.checkpoints import load_components
from priors.loading.single_files import CONFIGURATIONS, detect_family
from suite.errors import UserError
from tests.priors.tiny_checkpoints import assert_same, ldm_tensors, refused

FAMILIES = ("sd15", "sd21_v", "sdxl")


@pytest.mark.parametrize("family, asked", [("sdxl", "sd15"), ("sd15", "sdxl"), ("sd21_v", "sdxl")])
def test_file_of_another_family(family, asked, single_file):
    assert f"Type prior={family.removesuffix('_v')}." in refused(single_file(family), family=asked)


def test_version_2_must_be_told_what_it_predicts(single_file):
    message = refused(single_file("sd21_v"))
    assert "prediction_type=v_prediction" in message and "prediction_type=epsilon" in message


def test_file_of_another_size(single_file, folder):
    """Tiny networks with the family's own configuration."""
    message = refused(single_file("sd15"), tokenizer=folder("sd15"))
    assert "is of another size than its family: conv_in.weight is 16x4x3x3 there and 320x4x3x3" in message
    assert "config=FOLDER" in message


@pytest.mark.parametrize(
    "name, words",
    [
        ("model.diffusion_model.out.0.weight", "1 missing (conv_norm_out.weight)"),
        ("first_stage_model.decoder.norm_out.bias", "1 missing (decoder.conv_norm_out.bias)"),
        (
            "cond_stage_model.transformer.text_model.final_layer_norm.bias",
            "1 missing (final_layer_norm.bias)",
        ),
    ],
)
def test_file_with_one_tensor_missing(name, words, models, folder, tmp_path):
    tensors = ldm_tensors("sd15", models("sd15"))
    del tensors[name]
    save_file(tensors, tmp_path / "x.safetensors")
    message = refused(tmp_path / "x.safetensors", config=folder("sd15"), tokenizer=folder("sd15"))
    assert words in message.replace("text_model.", "")


def test_xl_file_without_its_label_embedding(models, folder, tmp_path):
    tensors = ldm_tensors("sdxl", models("sdxl"))
    del tensors["model.diffusion_model.label_emb.0.0.weight"]
    save_file(tensors, tmp_path / "x.safetensors")
    message = refused(tmp_path / "x.safetensors", config=folder("sdxl"), tokenizer=folder("sdxl"))
    assert "lacks tensors that its family has: 'label_emb.0.0.weight'" in message


def test_file_with_a_tensor_too_many(models, folder, tmp_path):
    tensors = ldm_tensors("sd15", models("sd15"))
    save_file(tensors | {"model.diffusion_model.surplus": torch.zeros(1)}, tmp_path / "x.safetensors")
    message = refused(tmp_path / "x.safetensors", config=folder("sd15"), tokenizer=folder("sd15"))
    assert "holds 1 tensors that Stable Diffusion does not have" in message


@pytest.mark.parametrize(
    "names, words",
    [
        (["lora_unet_down_blocks_0.alpha"], "is a LoRA"),
        (["control_model.input_hint_block.0.weight"], "is a ControlNet"),
        (["down_blocks.0.motion_modules.0.pe"], "is a motion module"),
        (["down_blocks.0.resnets.0.conv1.weight"], "is the weights of one diffusers network"),
        (["layers.0.weight"], "its tensors are named layers.0.weight"),
        (["model.diffusion_model.out.0.bias"], "holds a network without a text encoder"),
        (
            ["model.diffusion_model.out.0.bias", "conditioner.embedders.0.model.ln_final.bias"],
            "is XL's refiner",
        ),
        (
            ["model.diffusion_model.out.0.bias", "cond_stage_model.model.ln_final.bias"],
            "holds no autoencoder",
        ),
    ],
)
def test_other_files(names, words):
    """A file that is something else is called by its name."""
    with pytest.raises(UserError) as error:
        detect_family(dict.fromkeys(names, torch.zeros(1)), Path("x.safetensors"))
    assert words in str(error.value)


def test_inpainting_file(models):
    tensors = ldm_tensors("sd15", models("sd15"))
    tensors["model.diffusion_model.input_blocks.0.0.weight"] = torch.zeros(16, 9, 3, 3)
    with pytest.raises(UserError, match="has a U-Net of 9 input channels"):
        detect_family(tensors, Path("x.safetensors"))


def test_families_are_told_by_names_alone(models):
    for family in FAMILIES:
        assert detect_family(ldm_tensors(family, models(family)), Path("x")) == family.removesuffix("_v")


def test_averaged_weights_are_preferred(models, folder, tmp_path):
    """Where a file has the network and its moving average, the average is what the pruned release holds."""
    tensors = ldm_tensors("sd15", models("sd15"))
    unet = [name for name in tensors if name.startswith("model.diffusion_model.")]
    averages = {"model_ema." + "".join(name.split(".")[1:]): tensors[name] for name in unet}
    save_file({**tensors, **averages, **{n: tensors[n] * 0 for n in unet}}, tmp_path / "both.safetensors")
    parts = load_components(tmp_path / "both.safetensors", config=folder("sd15"), tokenizer=folder("sd15"))
    assert_same(parts.unet, models("sd15")["unet"])


def test_v_predicting_xl_is_marked(models, folder, tmp_path):
    """XL files that predict v carry empty tensors that say so."""
    tensors = ldm_tensors("sdxl", models("sdxl")) | {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    save_file(tensors, tmp_path / "v.safetensors")
    parts = load_components(tmp_path / "v.safetensors", config=folder("sdxl"), tokenizer=folder("sdxl"))
    assert parts.scheduler["prediction_type"] == "v_prediction" and parts.scheduler["rescale_betas_zero_snr"]


@pytest.mark.parametrize(
    "family, millions",
    [("sd15", (859.5, 83.7, 123.1)), ("sd21", (865.9, 83.7, 340.4)), ("sdxl", (2567.5, 83.7, 123.1))],
)
def test_shipped_configurations_have_the_published_sizes(family, millions):
    """Parameters of U-Net, autoencoder and text encoder, in millions."""
    place = CONFIGURATIONS / family
    with torch.device("meta"):
        networks = (
            UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(place / "unet")),
            AutoencoderKL.from_config(AutoencoderKL.load_config(place / "vae")),
            CLIPTextModel(CLIPTextConfig.from_pretrained(place / "text_encoder")),
        )
    for network, expected in zip(networks, millions):
        assert sum(x.numel() for x in network.parameters()) / 1e6 == pytest.approx(expected, abs=0.06)
