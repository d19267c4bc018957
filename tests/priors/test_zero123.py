"""Zero123: what it loads, what it is asked, what it answers."""

import math
import warnings

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.nn import functional as F
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from priors.checkpoints import load_components
from priors.guidance.csd import ClassifierScoreDistillation
from priors.guidance.sds import ScoreDistillation
from priors.loading.folders import missing_parts, wanted_files
from priors.loading.single_files import CONFIGURATIONS
from priors.loading.zero123 import pose_of
from priors.view_condition import relative_pose
from priors.zero123 import Zero123Prior, load
from suite.diffusion.classifier_free import guided
from suite.diffusion.samplers import ddim, starting_noise
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.rng import generator
from tests.priors.tiny_checkpoints import assert_same, edit_json
from tests.priors.tiny_zero123 import (
    original_file,
    original_tensors,
    tiny_zero123,
    zero123_folder,
)

ORBIT = dict(distance=1.8, fov_deg=49.13)
AROUND = Cameras.orbit([0.0, 1.0, 2.0], **ORBIT)


def picture(n: int = 1, size: int = 64) -> torch.Tensor:
    """Something coloured on white."""
    image = torch.ones(n, 3, size, size)
    image[:, :, 20:44, 20:44] = torch.rand(n, 3, 24, 24, generator=generator(0, 0, "picture"))
    return image


@pytest.fixture(scope="module")
def networks():
    return tiny_zero123()


@pytest.fixture(scope="module")
def folder(networks, tmp_path_factory):
    return zero123_folder(tmp_path_factory.mktemp("zero123") / "tiny", networks)


@pytest.fixture(scope="module")
def file(networks, tmp_path_factory):
    return original_file(tmp_path_factory.mktemp("zero123") / "105000.ckpt", networks, average=True)


@pytest.fixture(scope="module")
def prior(folder) -> Zero123Prior:
    return load(folder)


@pytest.fixture
def shown(folder) -> Zero123Prior:
    """A prior of one's own that has seen a picture."""
    prior = load(folder)
    prior.show(picture(), Cameras.orbit(20.0, 30.0, **ORBIT))
    return prior


def refused(path, **options) -> str:
    with pytest.raises(UserError) as error:
        load(path, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


# --------------------------------------------------------------------------------------------------- loading


def test_the_original_layout_gives_the_very_networks(file, folder, networks):
    """Every module of a converted .ckpt answers as the one that was written: its moving average, where it has one."""
    loaded = load(file, config=str(folder))
    assert_same(loaded.unet, networks["unet"])
    assert_same(loaded.vae, networks["vae"])
    assert_same(loaded.image_encoder, networks["image_encoder"])
    x, t, c = torch.randn(2, 8, 8, 8), torch.tensor([3, 700]), torch.randn(2, 1, 32)
    images, pixels = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(loaded.unet(x, t, c).sample, networks["unet"](x, t, c).sample)
        for name in ("encoder", "decoder"):
            given = images if name == "encoder" else torch.randn(2, 4, 8, 8)
            torch.testing.assert_close(
                getattr(loaded.vae, name)(given), getattr(networks["vae"], name)(given)
            )
        torch.testing.assert_close(
            loaded.image_encoder(pixels).image_embeds, networks["image_encoder"](pixels).image_embeds
        )
        torch.testing.assert_close(
            loaded.projection(x.new_ones(28)), networks["cc_projection"](x.new_ones(28))
        )


def openai_clip(tensors: dict[str, torch.Tensor], x: torch.Tensor, heads: int) -> torch.Tensor:
    """OpenAI's VisionTransformer, written from its paper and release, one picture and head at a time."""
    w = {name.removeprefix("cond_stage_model.model.visual."): value for name, value in tensors.items()}
    width = len(w["class_embedding"])
    norm = lambda x, name: F.layer_norm(x, (width,), w[f"{name}.weight"], w[f"{name}.bias"])  # noqa: E731
    embeddings = []
    for image in x:
        grid = F.conv2d(image[None], w["conv1.weight"], stride=w["conv1.weight"].shape[-1])[0]
        h = torch.cat([w["class_embedding"][None], grid.flatten(1).T]) + w["positional_embedding"]
        h = norm(h, "ln_pre")
        for i in range(sum(name.endswith("in_proj_weight") for name in w)):
            block = f"transformer.resblocks.{i}."
            n = norm(h, f"{block}ln_1")
            q, k, v = (n @ w[f"{block}attn.in_proj_weight"].T + w[f"{block}attn.in_proj_bias"]).chunk(
                3, dim=-1
            )
            each, size = [], width // heads
            for part in (slice(j * size, (j + 1) * size) for j in range(heads)):
                share = torch.softmax(q[:, part] @ k[:, part].T / math.sqrt(size), dim=-1)
                each.append(share @ v[:, part])
            h = (
                h
                + torch.cat(each, -1) @ w[f"{block}attn.out_proj.weight"].T
                + w[f"{block}attn.out_proj.bias"]
            )
            n = norm(h, f"{block}ln_2") @ w[f"{block}mlp.c_fc.weight"].T + w[f"{block}mlp.c_fc.bias"]
            n = n * torch.sigmoid(1.702 * n)
            h = h + n @ w[f"{block}mlp.c_proj.weight"].T + w[f"{block}mlp.c_proj.bias"]
        embeddings.append(norm(h[0], "ln_post") @ w["proj"])
    return torch.stack(embeddings)


def test_clip_answers_as_openai_wrote_it(networks, prior):
    """The converted tower equals a slow implementation of the original on the original tensors; so does `look`."""
    tensors = original_tensors(networks)
    image = picture(2)
    small = F.interpolate(image, (28, 28), mode="bicubic", align_corners=True)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    expected = openai_clip(tensors, (small - mean) / std, heads=4)
    tokens, latents = prior.look(image, Cameras.orbit(20.0, 30.0, **ORBIT))
    torch.testing.assert_close(tokens[:, 0], expected, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        moments = networks["vae"].encode(2 * image - 1).latent_dist.mean
    torch.testing.assert_close(latents, moments)  # not times 0.18215


def test_the_resize_is_kornias():
    """The authors resize with kornia: bicubic, corners aligned, no antialiasing."""
    kornia = pytest.importorskip("kornia.geometry")
    image = picture(1, 64)
    ours = F.interpolate(image, (28, 28), mode="bicubic", align_corners=True)
    theirs = kornia.resize(image, (28, 28), interpolation="bicubic", align_corners=True, antialias=False)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("projection", ["cc_projection", "clip_camera_projection"])
def test_both_diffusers_layouts(projection, networks, prior, tmp_path):
    """The community pipeline's folder and DreamGaussian's, whose pipeline classes are not imported."""
    place = zero123_folder(
        tmp_path / "x", networks, projection=projection, _class_name=["zero123", "Zero123Pipeline"]
    )
    loaded = load(place)
    torch.testing.assert_close(loaded.projection.weight, networks["cc_projection"].weight)
    assert not missing_parts(place)
    assert_same(loaded.unet, prior.unet)


def test_file_and_folder_answer_alike(file, folder):
    """The same checkpoint by either way gives the same predictions."""
    answers = []
    for prior in (load(folder), load(file, config=str(folder))):
        prior.show(picture(), Cameras.orbit(0.0, 10.0, **ORBIT))
        condition = prior.embed([""] * 2, Cameras.orbit([30.0, 90.0], 20.0, **ORBIT))
        x = torch.randn(2, 4, 8, 8, generator=generator(0, 0, "x"))
        answers.append(guided(prior, x, torch.tensor([0.2, 0.9]), condition, 3.0).raw)
    torch.testing.assert_close(*answers)


def test_pose_is_asked_or_said_or_guessed():
    """In this order."""
    assert pose_of("auto", None, "105000.ckpt") == "radius"
    assert pose_of("auto", None, "/stable/zero123-xl.ckpt") == "radius"
    assert pose_of("auto", None, "stable_zero123.ckpt") == "polar"
    assert pose_of("auto", None, "ashawkey/stable-zero123-diffusers") == "polar"
    assert pose_of("radius", None, "stable_zero123.ckpt") == "radius"
    assert pose_of("auto", "radius_polar", "stable") == "radius_polar"
    with pytest.raises(UserError, match="pose='both' is not one of: auto, radius, polar, radius_polar"):
        pose_of("both", None, "x")
    with pytest.raises(UserError, match="was trained with pose=polar .model_index.json., not radius"):
        pose_of("radius", "polar", "x")


@pytest.mark.parametrize(
    "prefix, what",
    [
        ("model.diffusion_model.", "U-Net"),
        ("first_stage_model.", "autoencoder"),
        ("cond_stage_model.model.visual.", "CLIP"),
        ("cc_projection.", "projection"),
    ],
)
def test_file_without_a_part(prefix, what, networks, folder, tmp_path):
    """A Stable Diffusion is called no Zero123."""
    tensors = {k: v for k, v in original_tensors(networks).items() if not k.startswith(prefix)}
    torch.save(tensors, tmp_path / "x.ckpt")
    assert f"is no Zero123: it has no {what} ({prefix}*)" in refused(tmp_path / "x.ckpt", config=str(folder))


@pytest.mark.parametrize(
    "name, words",
    [
        ("model.diffusion_model.out.0.weight", "1 missing (conv_norm_out.weight)"),
        ("first_stage_model.decoder.norm_out.bias", "1 missing (decoder.conv_norm_out.bias)"),
        ("cond_stage_model.model.visual.ln_post.bias", "1 missing (vision_model.post_layernorm.bias)"),
        ("cc_projection.bias", "is not one linear layer: it holds cc_projection.weight"),
    ],
)
def test_file_with_one_tensor_missing(name, words, networks, folder, tmp_path):
    tensors = original_tensors(networks)
    del tensors[name]
    torch.save({"state_dict": tensors}, tmp_path / "x.ckpt")
    assert words in refused(tmp_path / "x.ckpt", config=str(folder))


def test_file_with_a_tensor_too_many(networks, folder, tmp_path):
    tensors = original_tensors(networks) | {"cond_stage_model.model.visual.surplus": torch.zeros(1)}
    torch.save({"state_dict": tensors}, tmp_path / "x.ckpt")
    assert "1 unknown (surplus)" in refused(tmp_path / "x.ckpt", config=str(folder))


def test_file_of_another_size(file):
    """Tiny networks with the shipped configuration."""
    assert "is of another size than its family: conv_in.weight is 16x8x3x3 there and 320x8x3x3" in refused(
        file
    )


@pytest.mark.parametrize("part", ["unet", "vae", "image_encoder", "scheduler", "cc_projection"])
def test_folder_without_a_part(part, networks, tmp_path):
    place = zero123_folder(tmp_path / "x", networks)
    (place / part).rename(place / "elsewhere")
    assert f"has no folder {part}/. It holds: " in refused(place)
    assert missing_parts(place) == [part]


def test_folder_of_something_else(networks, tmp_path):
    place = zero123_folder(tmp_path / "x", networks)
    (place / "cc_projection" / "diffusion_pytorch_model.bin").unlink()
    assert "has no weights. It holds: config.json" in refused(place)
    index = (place / "model_index.json").read_text()
    (place / "model_index.json").write_text(index.replace("cc_projection", "safety_checker"))
    assert "holds a Zero1to3StableDiffusionPipeline; a Zero123 has cc_projection or" in refused(place)
    (place / "model_index.json").unlink()
    assert "has no model_index.json, so it is no checkpoint. It holds: cc_projection" in refused(place)


def test_parts_of_different_models(networks, folder, tmp_path):
    """A pose of another length, and a U-Net without room for the picture."""
    assert "its pose is not radius_polar: 28 inputs of its projection, tokens and pose 29" in refused(
        folder, pose="radius_polar"
    )
    place = zero123_folder(tmp_path / "x", networks)
    edit_json(place / "unet" / "config.json", cross_attention_dim=16)
    assert "cannot be loaded as UNet2DConditionModel" in refused(place)


def test_text_priors_are_told_apart(file, folder):
    """Each loader names the other's option."""
    for path in (file, folder):
        with pytest.raises(
            UserError, match="is a Zero123, which reads pictures. Type prior=zero123 prior.path="
        ):
            load_components(path)


def test_what_the_hub_is_asked_for():
    """Of a repository the parts that are needed, the weights once."""
    files = ["model_index.json", "README.md", "clip_camera_projection/zero123.py"]
    for part in ("unet", "vae", "image_encoder", "clip_camera_projection", "safety_checker"):
        files += [f"{part}/config.json", f"{part}/model.safetensors", f"{part}/model.bin"]
    files += ["scheduler/scheduler_config.json"]
    wanted = wanted_files(files, None)
    assert (
        "clip_camera_projection/model.safetensors" in wanted and "scheduler/scheduler_config.json" in wanted
    )
    assert not [name for name in wanted if name.startswith("safety") or name.endswith((".bin", ".py", ".md"))]


def test_options_and_names_are_checked(folder):
    assert "dtype='half' is not one of: auto, float32" in refused(folder, dtype="half")
    assert "resolution=60 does not fit" in refused(folder, resolution=60)
    assert "There is no file" in refused("nowhere.ckpt")


def test_shipped_configuration_has_the_published_sizes():
    """Millions of parameters: Stable Diffusion 1's U-Net with 4 channels more, its autoencoder, CLIP ViT-L/14."""
    place = CONFIGURATIONS / "zero123"
    with torch.device("meta"):
        networks = (
            UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(place / "unet")),
            AutoencoderKL.from_config(AutoencoderKL.load_config(place / "vae")),
            CLIPVisionModelWithProjection(CLIPVisionConfig.from_pretrained(place / "image_encoder")),
        )
    for network, expected in zip(networks, (859.53, 83.65, 303.97)):
        assert sum(x.numel() for x in network.parameters()) / 1e6 == pytest.approx(expected, abs=0.01)


# ------------------------------------------------------------------------------------------------ conditioning


def test_poses_by_hand():
    """From azimuth 350, elevation 30, distance 1.5 to 20, -10, 2: the polar angle goes from 60 to 100 degrees."""
    reference = Cameras.orbit(350.0, 30.0, 1.5, 49.13)
    target = Cameras.orbit(20.0, -10.0, 2.0, 49.13)
    d_polar, d_azimuth, polar = math.radians(40), math.radians(30), math.radians(60)
    three = [d_polar, math.sin(d_azimuth), math.cos(d_azimuth)]
    for pose, last in (("radius", [0.5]), ("polar", [polar]), ("radius_polar", [0.5, polar])):
        expected = torch.tensor([three + last])
        torch.testing.assert_close(relative_pose(pose, reference, target), expected, atol=1e-5, rtol=1e-5)


def test_the_condition_by_hand(prior, networks):
    """token = W [CLIP, pose] + b; the latent is not scaled; the unconditional branch is zeros in both."""
    image, reference = picture(), Cameras.orbit(20.0, 30.0, **ORBIT)
    cameras = Cameras.orbit([20.0, 110.0], [30.0, 0.0], **ORBIT)
    condition = prior.embed(["any", "text"], cameras, image, reference=reference)
    clip, latents = prior.look(image, reference)
    pose = torch.tensor([[0.0, 0.0, 1.0, 0.0], [math.radians(30), 1.0, 0.0, 0.0]])
    linear = networks["cc_projection"]
    for i in range(2):
        expected = linear.weight @ torch.cat([clip[0, 0], pose[i]]) + linear.bias
        torch.testing.assert_close(condition.tensors["tokens"][i, 0], expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(condition.tensors["latents"], latents.expand(2, -1, -1, -1))
    for branch in (condition.negative, condition.empty, prior.embed(["", ""])):
        assert branch.tensors["tokens"].shape == (2, 1, 32) and not branch.tensors["tokens"].any()
        assert branch.tensors["latents"].shape == (2, 4, 8, 8) and not branch.tensors["latents"].any()


def test_the_network_sees_the_picture_beside_the_noise(shown, networks):
    """predict is the U-Net on [x_t, latent], and its eps."""
    condition = shown.embed([""], Cameras.orbit(80.0, 10.0, **ORBIT))
    x, t = torch.randn(1, 4, 8, 8, generator=generator(0, 0, "x")), torch.tensor([0.4])
    with torch.no_grad():
        both = torch.cat([x, condition.tensors["latents"]], 1)
        expected = networks["unet"](both, torch.tensor([400]), condition.tensors["tokens"]).sample
    torch.testing.assert_close(shown.predict(x, t, condition).eps, expected, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="makes images of 64 pixels; set resolution= for another size"):
        shown.predict(torch.zeros(1, 4, 16, 16), t, condition)


@pytest.mark.parametrize("guidance", [ScoreDistillation(), ClassifierScoreDistillation()])
def test_guidances_work_unchanged(guidance, shown):
    """They pull at pictures, through the encoder; the picture is looked at once."""
    images = picture(2).requires_grad_()
    condition = shown.embed(["", ""], Cameras.orbit([40.0, -120.0], 20.0, **ORBIT))
    out = guidance(shown, images, condition, generator=generator(0, 0, "sds"))
    (gradient,) = torch.autograd.grad(out.loss, images)
    assert gradient.abs().sum() > 0 and out.x_0.shape == (2, 4, 8, 8)


def test_a_shown_picture_is_looked_at_once(shown, monkeypatch):
    """Until it is shown another, or moved."""
    looks = []
    look = shown.look
    monkeypatch.setattr(shown, "look", lambda *shown: looks.append(1) or look(*shown))
    cameras = Cameras.orbit(0.0, 0.0, **ORBIT)
    for _ in range(3):
        shown.embed([""], cameras)
    assert len(looks) == 1
    shown.to(torch.float64).to(torch.float32).embed([""], cameras)
    assert len(looks) == 2


def test_sampling_gives_pictures(shown):
    """Any sampler, any number of views of one picture."""
    condition = shown.embed([""] * 2, Cameras.orbit([40.0, 90.0], 20.0, **ORBIT))
    noise = starting_noise(shown, 2, generator(0, 0, "noise"))
    images = shown.decode(ddim(shown, noise, condition, steps=2, scale=3.0))
    assert images.shape == (2, 3, 64, 64) and 0 <= images.min() and images.max() <= 1


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda p: p.embed([""], Cameras.orbit(0.0)), "needs a picture: show.image, reference. it once"),
        (lambda p: p.embed([""], Cameras.orbit(0.0), picture()), "needs reference=, the cameras that took image="),
        (lambda p: p.embed([""], Cameras.orbit(0.0), reference=Cameras.orbit(0.0)), "reference= without image="),
        (lambda p: p.embed("", Cameras.orbit(0.0)), "one text a camera, got 1 cameras and ''"),
        (lambda p: p.embed([""] * 3, Cameras.orbit([0.0, 1.0])), "one text a camera, got 2 cameras"),
        (
            lambda p: p.embed([""] * 3, AROUND, picture(2), reference=AROUND[:2]),
            "one picture or one a camera, got 2 for 3",
        ),
        (lambda p: p.show(picture(2), Cameras.orbit(0.0)), "show needs a camera a picture, got 2 and 1"),
        (lambda p: p.embed(["a red car"]), "does not read texts but cameras"),
        (lambda p: p.embed([""], image=picture()), "embed needs cameras=, the views"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(call, words, prior):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=words):
            call(prior)


def test_the_camera_contract(shown):
    """fov 49.13 degrees, distances 1.5 to 2.2, white: silence within, a warning outside, at either end."""
    white, good = picture(), Cameras.orbit(0.0, 10.0, 1.5, 2 * math.degrees(math.atan(16 / 35)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown.show(white, good)
        shown.embed([""], Cameras.orbit(0.0, 10.0, 2.2, 49.13))
    with pytest.warns(UserWarning, match="fov_deg 49.13 to 49.13 degrees"):
        shown.embed([""], Cameras.orbit(0.0, 10.0, 1.8, 40.0))
    with pytest.warns(UserWarning, match="distance 1.5 to 2.2 longest sides"):
        shown.show(white, Cameras.orbit(0.0, 10.0, 3.8, 49.13))
    with pytest.warns(UserWarning, match="border is not white"):
        shown.show(white * 0.5, good)


def test_half_precision_on_a_gpu_only(folder):
    """dtype auto: float32 on a CPU; what was asked stays."""
    assert load(folder).unet.dtype == torch.float32
    assert load(folder, dtype="bfloat16").unet.dtype == torch.bfloat16
