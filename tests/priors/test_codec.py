"""The patch codec is orthogonal, linear, and keeps what pictures are made of."""

import torch

from priors.codec import PatchCodec, fit_codec
from suite.rng import generator
from suite.toyworld.dataset import Scenes


def _pictures() -> torch.Tensor:
    return torch.from_numpy(Scenes().batch(64, 0, 0).images).movedim(-1, 1)


def test_basis_is_orthonormal_and_latents_have_unit_variance():
    """B B^T = 1, and scaling_factor is 1 / std of the latents."""
    pictures = _pictures()
    codec = fit_codec(pictures)
    torch.testing.assert_close(codec.basis @ codec.basis.T, torch.eye(12), atol=1e-5, rtol=0)
    latents = codec.encode(pictures * 2 - 1).latent_dist.mode() * codec.config.scaling_factor
    assert abs(float(latents.std()) - 1) < 1e-3


def test_all_components_give_the_picture_back():
    """With as many components as a patch has numbers, decode(encode(x)) = x."""
    pictures = _pictures()
    codec = fit_codec(pictures, latent_channels=48)
    back = codec.decode(codec.encode(pictures * 2 - 1).latent_dist.sample()).sample / 2 + 0.5
    torch.testing.assert_close(back, pictures, atol=1e-4, rtol=0)


def test_twelve_components_keep_98_percent():
    """The share of the pictures' variance that the codec loses is below one in fifty."""
    pictures = _pictures()
    codec = fit_codec(pictures)
    back = codec.decode(codec.encode(pictures * 2 - 1).latent_dist.mode()).sample / 2 + 0.5
    assert float((back - pictures).var() / pictures.var()) < 0.02


def test_saved_and_loaded_it_is_the_same(tmp_path):
    """A round trip through diffusers' files."""
    codec = fit_codec(_pictures())
    codec.save_pretrained(tmp_path)
    z = torch.randn(1, 12, 4, 4, generator=generator(0, 0, "codec"))
    torch.testing.assert_close(PatchCodec.from_pretrained(tmp_path).decode(z).sample, codec.decode(z).sample)
