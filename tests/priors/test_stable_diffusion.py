"""Stable Diffusion priors against diffusers' own pipelines, on random networks of the real topology."""

import copy
import functools
import logging
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel

from priors import stable_diffusion
from priors.checkpoints import load_tiny_encoder
from priors.codec import PatchCodec
from priors.loading.components import Components
from priors.prompts import ViewPrompts
from priors.stable_diffusion import StableDiffusionPrior, load
from suite.diffusion.samplers import ddim
from suite.errors import UserError
from suite.rng import generator
from tests.priors.tiny_checkpoints import DOWN, UP, assert_same, edit_json, pipeline, put_in_cache

FAMILIES = ("sd15", "sd21_v", "sdxl")
TEXTS = ["a red car, side view", "a blue robot"]


@pytest.fixture(scope="module")
def prior(folder):
    """The prior of each family, loaded. Not to be changed."""
    return functools.cache(lambda family: load(str(folder(family))))


@pytest.fixture
def fresh(models):
    """A prior of one's own, from copies of the networks; `dtype` as `load` would have it."""

    def of(family: str, *, dtype: torch.dtype = torch.float32, **options) -> StableDiffusionPrior:
        parts = copy.deepcopy(models(family))
        for part in parts.values():
            if isinstance(part, torch.nn.Module):
                torch.nn.Module.to(part, dtype)
        numbers = ("", "_2") if family == "sdxl" else ("",)
        components = Components(
            name=family,
            unet=parts["unet"],
            vae=parts["vae"],
            text_encoders=tuple(parts[f"text_encoder{n}"] for n in numbers),
            tokenizers=tuple(parts[f"tokenizer{n}"] for n in numbers),
            scheduler=dict(parts["scheduler"].config),
            zero_for_empty=family == "sdxl",
        )
        return StableDiffusionPrior(components, **options)

    return of


def noise(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape, generator=generator(0, 0, "noise"))


# ----------------------------------------------------------------------------------------- against diffusers


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("negative", ["", "ugly mushroom"])
def test_ddim_equals_diffusers_pipeline(family, negative, prior, models):
    """Prompt, schedule, guidance, network and decoder together: the same latents in, the same picture out."""
    pipe = pipeline(family, models(family))
    pipe.set_progress_bar_config(disable=True)
    x = noise((2, 4, 8, 8))
    options = dict(num_inference_steps=4, guidance_scale=5.0, latents=x, output_type="latent")
    expected = pipe(TEXTS, negative_prompt=[negative] * 2 if negative else None, **options).images
    condition = prior(family).embed(ViewPrompts.of_texts(TEXTS, negative))
    with torch.no_grad():
        found = ddim(prior(family), x, condition, steps=4, scale=5.0)
        pictures = prior(family).decode(found)
        expected_pictures = pipe.vae.decode(expected / pipe.vae.config.scaling_factor).sample / 2 + 0.5
    assert (found - expected).abs().max() < 1e-4
    assert (pictures - expected_pictures.clamp(0, 1)).abs().max() < 1e-4
    assert (found[0] - found[1]).abs().max() > 1e-2


@pytest.mark.parametrize("family", FAMILIES)
def test_the_prompt_reaches_the_network(family, prior):
    """Another text, another prediction: the comparison with diffusers is not of two constants."""
    x, t = noise((1, 4, 8, 8)).repeat(2, 1, 1, 1), torch.tensor([0.7, 0.7])
    eps = prior(family).predict(x, t, prior(family).embed(TEXTS)).eps
    assert (eps[0] - eps[1]).abs().max() > 1e-3


def test_prediction_types(prior):
    """The kind comes from the scheduler's configuration."""
    assert [prior(family).kind for family in FAMILIES] == ["epsilon", "v", "epsilon"]


def test_clip_skip_is_the_encoder_without_its_last_layers(prior, fresh, models):
    """1.x: skipping 2 of 12 layers is an encoder of 10."""
    encoder = copy.deepcopy(models("sd15")["text_encoder"])
    stack = getattr(encoder, "text_model", encoder).encoder
    stack.layers = stack.layers[:-2]
    stack.config.num_hidden_layers = 10
    ids = models("sd15")["tokenizer"](TEXTS, padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        expected = encoder(ids).last_hidden_state
    tokens = fresh("sd15", clip_skip=2).embed(TEXTS).tensors["tokens"]
    torch.testing.assert_close(tokens, expected)
    assert (tokens - prior("sd15").embed(TEXTS).tensors["tokens"]).abs().max() > 1e-2


def test_clip_skip_of_xl_equals_diffusers(fresh, models):
    """XL: diffusers' encode_prompt with the same clip_skip."""
    expected, _, pooled, _ = pipeline("sdxl", models("sdxl")).encode_prompt(TEXTS, clip_skip=1)
    condition = fresh("sdxl", clip_skip=1).embed(TEXTS)
    torch.testing.assert_close(condition.tensors["tokens"], expected)
    torch.testing.assert_close(condition.tensors["pooled"], pooled)


def test_impossible_clip_skip(fresh):
    with pytest.raises(UserError, match="clip_skip is 0 to 11 for this text encoder of 12 layers, got 12"):
        fresh("sd15", clip_skip=12)


# ----------------------------------------------------------------------------------------------------- texts


def test_negative_of_xl_is_zero(prior):
    """XL was trained with zeros for no text; 1.x with the embedding of ""."""
    negative = prior("sdxl").embed(["red"]).negative.tensors
    assert negative["tokens"].abs().max() == 0 and negative["pooled"].abs().max() == 0
    assert prior("sd15").embed(["red"]).negative.tensors["tokens"].abs().max() > 0
    torch.testing.assert_close(negative["time_ids"], torch.tensor([[64.0, 64, 0, 0, 64, 64]]))


def test_a_long_prompt_is_cut_with_a_warning(prior, caplog):
    with caplog.at_level(logging.WARNING):
        tokens = prior("sd15").embed(["red " * 90]).tensors["tokens"]
    assert tokens.shape == (1, 77, 32) and "Only the first 75 tokens of the prompt are read" in caplog.text


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_the_bag_is_the_mean_of_the_words(family, prior, models):
    """Of their rows in the embeddings' tables, without start, end and padding; their order does not count."""
    parts, rows = models(family), []
    for suffix in ("", "_2") if family == "sdxl" else ("",):
        ids = parts[f"tokenizer{suffix}"]("a red car", add_special_tokens=False).input_ids
        rows.append(parts[f"text_encoder{suffix}"].get_input_embeddings().weight[ids].mean(0))
    bags = [prior(family).embed([text]).tensors["bag"][0] for text in ("a red car", "car a red", "")]
    torch.testing.assert_close(bags[0], torch.cat(rows).detach())
    torch.testing.assert_close(bags[1], bags[0])
    assert bags[2].abs().max() == 0


def test_dropped_text_encoder(fresh):
    """What was embedded stays; anything else is refused."""
    prior = fresh("sd15")
    before = prior.embed(["a red car"])
    prior.drop_text_encoder()
    torch.testing.assert_close(prior.embed(["a red car"]).tensors, before.tensors)
    assert not any("text" in name for name, _ in prior.named_parameters())
    with pytest.raises(UserError, match="embed .'a blue car'. before drop_text_encoder"):
        prior.embed(["a blue car"])


# -------------------------------------------------------------------------------------------------- pictures


def test_encode_is_the_scaled_mode(prior, models):
    """z = s E(2 x - 1)."""
    images = torch.rand(2, 3, 64, 64, generator=generator(0, 0, "images"))
    with torch.no_grad():
        expected = 0.18215 * models("sd15")["vae"].encode(2 * images - 1).latent_dist.mode()
    torch.testing.assert_close(prior("sd15").encode(images), expected)


def test_encode_draws_from_the_posterior(prior, models):
    """With a generator: mean + std n, the same for the same generator."""
    images = torch.rand(1, 3, 64, 64, generator=generator(0, 0, "images"))
    with torch.no_grad():
        posterior = models("sd15")["vae"].encode(2 * images - 1).latent_dist
    n = torch.randn(posterior.mean.shape, generator=generator(0, 0, "z"))
    z = prior("sd15").encode(images, generator=generator(0, 0, "z"))
    torch.testing.assert_close(z, 0.18215 * (posterior.mean + posterior.std * n))


@pytest.mark.parametrize("side", [48, 64, 96])
def test_encode_resizes_and_is_differentiable(side, prior):
    """Any size becomes the prior's; the gradient along a direction is the slope along it."""
    images = torch.rand(1, 3, side, side, generator=generator(0, 0, "images"), requires_grad=True)
    z = prior("sd15").encode(images)
    assert z.shape == (1, 4, 8, 8)
    weights, direction = noise(z.shape), torch.rand(images.shape, generator=generator(0, 0, "direction"))
    (grad,) = torch.autograd.grad((weights * z).sum(), images)
    with torch.no_grad():
        up, down = (prior("sd15").encode(images + h * direction) for h in (1e-2, -1e-2))
    torch.testing.assert_close(
        (grad * direction).sum(), (weights * (up - down)).sum() / 2e-2, rtol=0.02, atol=1e-4
    )


def test_decode_is_a_picture(prior):
    pictures = prior("sd15").decode(10 * noise((1, 4, 8, 8)))
    assert pictures.shape == (1, 3, 64, 64) and pictures.min() >= 0 and pictures.max() <= 1


def test_resolution_can_be_chosen(fresh):
    """Twice the size: latents of 16, and XL is told so."""
    prior = fresh("sdxl", resolution=128)
    assert prior.encode(torch.rand(1, 3, 64, 64)).shape == (1, 4, 16, 16)
    assert prior.embed(["red"]).tensors["time_ids"].tolist() == [[128, 128, 0, 0, 128, 128]]
    with pytest.raises(UserError, match="resolution=100 does not fit .*: use a multiple of 8 from 64, as 64"):
        fresh("sdxl", resolution=100)


def test_tiny_encoder_stands_in(folder, offline, tmp_path):
    """TAESD's latents are the scaled ones, from images in [0, 1]; its folder is named, or in the hub's cache."""
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4,
        num_encoder_blocks=(1, 1, 1, 1), num_decoder_blocks=(1, 1, 1, 1),
    ).eval()  # fmt: skip
    tiny.save_pretrained(tmp_path / "taesd")
    prior = load(str(folder("sd15")), encoder=str(tmp_path / "taesd"))
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(prior.encode(images), tiny.encoder.layers(images))
    prior.tiny_encoder = None
    assert prior.encode(images).shape == (1, 4, 8, 8)
    put_in_cache(offline, "madebyollin/taesd", tmp_path / "taesd")
    cached = load_tiny_encoder("taesd", is_xl=False, dtype=torch.float32)
    assert_same(cached, tiny)
    with pytest.raises(UserError, match="encoder='taesdd' is neither vae, taesd nor a folder with a TAESD"):
        load(str(folder("sd15")), encoder="taesdd")


# ------------------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_only_the_networks_are_half(dtype, fresh, prior):
    """Latents, alpha, sigma and predictions stay float32, close to the float32 prior's."""
    half, full = fresh("sd15", dtype=dtype), prior("sd15")
    assert half.unet.dtype == half.vae.dtype == dtype
    images, t = torch.rand(1, 3, 64, 64, generator=generator(0, 0, "images")), torch.tensor([0.5])
    z, condition = half.encode(images), half.embed(["a red car"])
    p = half.predict(z, t, condition)
    q = full.predict(full.encode(images), t, full.embed(["a red car"]))
    for x in (z, p.alpha, p.sigma, p.raw, p.eps, p.x_0, condition.tensors["tokens"], half.decode(z)):
        assert x.dtype == torch.float32
    torch.testing.assert_close(p.eps, q.eps, rtol=0, atol=0.05)


def test_xl_autoencoder_stays_float32(folder, fresh):
    """It overflows in float16, not in bfloat16."""
    prior = load(str(folder("sdxl")), dtype="float16")
    assert prior.unet.dtype == torch.float16 and prior.vae.dtype == torch.float32
    assert fresh("sdxl", dtype=torch.bfloat16).vae.dtype == torch.bfloat16


def test_half_when_moved_to_a_gpu(fresh, monkeypatch):
    """dtype=auto: float32, and float16 on a GPU (here the device that holds nothing stands for one)."""
    monkeypatch.setattr(stable_diffusion, "HALF_DEVICES", ("meta",))
    prior, full = fresh("sdxl", half_on_gpu=True), fresh("sdxl")
    assert prior.unet.dtype == torch.float32
    prior.to("meta"), full.to("meta")
    assert prior.unet.dtype == torch.float16 and prior.vae.dtype == torch.float32
    assert next(prior.text.parameters()).dtype == torch.float16 and full.unet.dtype == torch.float32


def test_unknown_dtype(folder):
    with pytest.raises(UserError, match="dtype='half' is not one of: auto, float32, float16, bfloat16"):
        load(str(folder("sd15")), dtype="half")


# ---------------------------------------------------------------------------------------------------- frozen


def test_frozen(prior):
    """No parameter learns, nothing drops out, predictions carry no graph, forward passes are counted."""
    p = prior("sd15")
    assert not any(x.requires_grad for x in p.parameters()) and not p.train().training
    before = p.evaluations
    x = noise((3, 4, 8, 8)).requires_grad_()
    assert not p.predict(x, torch.full((3,), 0.5), p.embed(["red"] * 3)).raw.requires_grad
    assert p.predict(x, torch.full((3,), 0.5), p.embed(["red"] * 3), grad=True).raw.requires_grad
    assert p.evaluations == before + 6


# ---------------------------------------------------------------------------------- a small prior of its own


@pytest.fixture
def pocket(folder, tmp_path) -> Path:
    """The layout of the shipped prior: v-prediction on a linear patch codec, and a list of known words."""
    place = shutil.copytree(folder("sd21_v"), tmp_path / "pocket")
    shutil.rmtree(place / "vae")
    PatchCodec(4, 12, 3, 0.7).save_pretrained(place / "vae")
    shutil.rmtree(place / "unet")
    UNet2DConditionModel(
        sample_size=16, in_channels=12, out_channels=12, layers_per_block=1, norm_num_groups=8,
        block_out_channels=(16, 32), down_block_types=(DOWN[0], DOWN[-1]), up_block_types=(UP[0], UP[1]),
        attention_head_dim=4, cross_attention_dim=32,
    ).save_pretrained(place / "unet")  # fmt: skip
    edit_json(place / "model_index.json", vae=["priors.codec", "PatchCodec"])
    (place / "words.json").write_text(
        '{"kinds": ["mushroom", "teddy bear"], "others": ["a", "red", "side", "view"]}'
    )
    return place


def test_a_prior_of_this_package(pocket):
    """The codec of this package loads by its dotted name; 64 pixels are 16 x 16 x 12."""
    prior = load(str(pocket))
    assert (prior.resolution, prior.factor, prior.latent_channels, prior.kind) == (64, 4, 12, "v")
    images = torch.rand(2, 3, 64, 64)
    z = prior.encode(images)
    p = prior.predict(z, torch.tensor([0.1, 0.9]), prior.embed(["a red mushroom, side view", "a Teddy bear"]))
    assert z.shape == p.x_0.shape == (2, 12, 16, 16)
    assert prior.decode(z).shape == images.shape


def test_unknown_words_are_named(pocket):
    """They would be noise: which, what is near, what is known."""
    with pytest.raises(UserError, match="never seen 'purple', 'mushrom' .in 'a purple mushrom'.") as error:
        load(str(pocket)).embed(["a purple mushrom"])
    assert "Did you mean 'mushroom' instead of 'mushrom'?" in str(error.value)
    assert "It knows kinds: mushroom, teddy bear; others: a, red, side, view." in str(error.value)


def test_known_words_may_be_a_plain_list(pocket):
    (pocket / "words.json").write_text('["a", "car"]')
    with pytest.raises(UserError, match="never seen 'red' .in 'a red car'.. It knows words: a, car"):
        load(str(pocket)).embed(["a red car"])


# -------------------------------------------------------------------------------------------- parts that fit


def test_parts_of_different_models(folder, tmp_path):
    """XL's second text encoder in the place of 1.x's."""
    place = shutil.copytree(folder("sd15"), tmp_path / "mixed")
    shutil.rmtree(place / "text_encoder")
    shutil.copytree(folder("sdxl") / "text_encoder_2", place / "text_encoder")
    edit_json(place / "model_index.json", text_encoder=["transformers", "CLIPTextModelWithProjection"])
    with pytest.raises(UserError, match="32 text channels in its U-Net, 40 in its text encoder"):
        load(str(place))


def test_tokenizer_of_another_model(folder, tmp_path):
    place = shutil.copytree(folder("sd15"), tmp_path / "mixed")
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(place / "tokenizer")
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(place / "tokenizer")
    with pytest.raises(UserError, match=r"tokenizer has \d+ tokens, its text encoder \d+"):
        load(str(place))
