"""What a view-conditioned prior learns first: to say in a text prior's tokens what a picture shows, from elsewhere.

    W [token_i(picture), pose] = T_j(words, view word) + A phi
    phi = (sin a, cos a, sin 2a, cos 2a, sin e, d)

T: the prior's text tokens, each for as many patches as it takes to use them all; a, e, d: azimuth, elevation and
distance of the wanted camera; A: fixed random directions. The prior's denoiser then knows at once what to show, and
roughly from where; it has to learn what angles mean. Without this, 1,400 steps of denoising taught colours and hardly
any shape.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from priors.stable_diffusion import StableDiffusionPrior
from suite.geometry.cameras import Cameras
from suite.rng import generator
from suite.toyworld.captions import caption, view_word

FEATURES, STRENGTH = 6, 0.25  # of views; their tokens' size beside that of words
DISTANCE, SPREAD = 1.85, 0.35  # of toyworld's pairs of views: the middle, and to either side


class PictureWords(nn.Module):
    """Says which tokens a picture should have.

    Args:
        prior: A text prior with one text encoder.
        patches: Tokens of a picture beside the first, which is for the whole and gets the words' mean.
        seed: Of the directions of view features.
    """

    def __init__(self, prior: StableDiffusionPrior, *, patches: int, seed: int = 0) -> None:
        super().__init__()
        self.text, self.known_words = prior.text, prior.known_words
        width = prior.unet.config.cross_attention_dim
        self.register_buffer("directions", directions(width, FEATURES, seed))
        self.patches = patches

    @torch.no_grad()
    def forward(self, texts: Sequence[str], cameras: Cameras) -> Float[Tensor, "b l d"]:
        """The tokens of these things, seen by these cameras."""
        places = zip(texts, cameras.azimuth_deg.tolist(), cameras.elevation_deg.tolist())
        words = self.text([caption(text, view_word(a, e)) for text, a, e in places])["tokens"].float()
        spread = words[:, spread_over(words.shape[1], self.patches).to(words.device)]
        tokens = torch.cat([words.mean(1, keepdim=True), spread], dim=1)
        return tokens + (view_features(cameras).to(tokens) @ self.directions)[:, None]

    def loss(
        self, tokens: Float[Tensor, "b l d"], texts: Sequence[str], cameras: Cameras
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Mean squared error, and the share of things whose tokens are nearest to their own words in the batch."""
        right = self(texts, cameras)
        distances = torch.cdist(tokens.detach().float().flatten(1), right.flatten(1))
        own = distances.diagonal()
        another = [[a != b for b in texts] for a in texts]  # things of the same words do not count
        others = distances.masked_fill(~torch.tensor(another, device=distances.device), torch.inf)
        return F.mse_loss(tokens.float(), right), (own < others.min(1).values).float().mean()


def view_features(cameras: Cameras) -> Float[Tensor, "b f"]:
    """Where cameras look from, each number about as large as 1."""
    a, e = torch.deg2rad(cameras.azimuth_deg), torch.deg2rad(cameras.elevation_deg)
    away = (cameras.distance - DISTANCE) / SPREAD
    return torch.stack([a.sin(), a.cos(), (2 * a).sin(), (2 * a).cos(), e.sin(), away], dim=-1)


def spread_over(words: int, patches: int) -> Int[Tensor, " p"]:
    """Which token of the words each patch gets: 0, 0, 1, 1, ... for twice as many patches."""
    return torch.arange(patches) * words // patches


def directions(width: int, count: int, seed: int) -> Float[Tensor, "f d"]:
    """Random orthogonal rows, of a share of a token's size (sqrt(width)), the same from the same seed."""
    random = torch.randn(width, count, generator=generator(seed, 0, f"directions {count}"))
    return STRENGTH * width**0.5 * torch.linalg.qr(random).Q.T.contiguous()
