"""The exact denoiser of pictures of known things on plain backgrounds: a prior whose answer is known in 3D.

A picture of thing k from the camera at hand, on a background of one colour c that nobody knows, is

    z = m_k + u_k delta,       m_k = 2 f_k - 1 + u_k c_0,   u_k = 2 (1 - a_k),   delta = c - c_0 ~ N(0, s^2)

f_k the render on black, a_k its mask, c_0 and s the mean and deviation of background colours. Then x_t given k
is Gaussian with a covariance of rank one in every channel, and by Bayes' rule, with d_k = x_t - alpha m_k,

    V_k     = sigma^2 + alpha^2 s^2 |u_k|^2
    delta_k = alpha s^2 <u_k, d_k> / V_k                         the background's colour, estimated
    e_k     = d_k - alpha u_k delta_k                            what is left is noise
    r_k     = softmax_k [ log w_k - (|e_k|^2 / sigma^2 + |delta_k|^2 / s^2 + 3 log(V_k / sigma^2)) / 2 ]
    x_0_hat = sum_k r_k (m_k + u_k delta_k),                     eps_hat = sum_k r_k e_k / sigma

Text chooses the weights w, the camera is the render's own. What is distilled from it must be the thing, so it
tests renderers, guidances, meshing and measures end to end without a learned network.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from priors.base import Condition
from priors.pixels import PixelPrior
from priors.prompts import Blend, ViewPrompts
from suite.diffusion.noise import NoiseSchedule, per_sample, target
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.geometry.visibility import around
from suite.toyworld.captions import VIEWS, view_word
from suite.toyworld.lookup import Things, without_article, without_view
from suite.toyworld.objects import Surface
from suite.toyworld.stills import stills
from suite.types import Images, Latents, Times


class ToyworldPrior(PixelPrior):
    """Knows things of toyworld, real objects and people exactly.

    "" means any of the things it knows, from the same camera. So with one thing guidance changes nothing at any
    scale; with several, scales above 1 overshoot: the answer is exact already.

    Args:
        prompts: The things it knows, as "a red mushroom"; none is whatever it is asked for, from then on.
        objects: A folder of captioned meshes to know too, as `suite prepare_objects` makes.
        camera: "exact": it is told each picture's camera. "words": only the view words of the prompt, as a
            text-to-image model; pictures are then those of `views` cameras.
        size: Side of its pictures in pixels.
        views: Cameras, all around, from which each thing is known where no camera is told.
        background: Mean colour of backgrounds, c_0.
        background_std: Their deviation s, in RGB units; 0 is always `background`.
        schedule: The cosine schedule unless given.

    Raises:
        UserError: A prompt names nothing that is known.
    """

    def __init__(
        self,
        *,
        prompts: Sequence[str] = (),
        objects: str = "",
        camera: str = "exact",
        size: int = 64,
        views: int = 96,
        background: Sequence[float] = (0.5, 0.5, 0.5),
        background_std: float = 0.3,
        schedule: NoiseSchedule | None = None,
    ) -> None:
        super().__init__()
        if camera not in ("exact", "words"):
            raise UserError(f"camera={camera!r} is not one of: exact, words.")
        if size < 8 or views < 1 or background_std < 0 or len(background) != 3:
            raise UserError(
                "ToyworldPrior needs size >= 8, views >= 1, background_std >= 0 and a background of 3 numbers, "
                f"got {size=}, {views=}, {background_std=}, background={list(background)}."
            )
        self.schedule, self.kind = schedule or NoiseSchedule.cosine(), "v"
        self.latent_channels, self.factor, self.resolution = 3, 1, size
        self.camera, self.background_std = camera, background_std
        self.register_buffer("background", torch.tensor([float(c) for c in background]), persistent=False)
        self.things, self.closed = Things(objects), False
        self.surfaces: dict[str, Surface] = {}
        self.bank_cameras = around(views, elevation_deg=(-12.0, 88.0), height=size, width=size)
        self._bank: dict[str, Float[Tensor, "v 4 h w"]] = {}
        for prompt in prompts:
            self._learn(prompt)
        self.closed = len(prompts) > 0

    def encode_text(self, texts: Sequence[str]) -> Condition:
        """The weights of all pictures that it has of what each text names, and of the view that it says."""
        for text in texts:
            self._learn(text)
        return self._condition([((text, 1.0),) for text in texts], {})

    def embed(
        self,
        prompts: Sequence[str] | ViewPrompts,
        cameras: Cameras | None = None,
        image: Images | None = None,
    ) -> Condition:
        """As every prior's; where cameras are told, the pictures are rendered from these very cameras."""
        if image is not None or isinstance(prompts, str):
            return super().embed(prompts, cameras, image)  # says what is wrong
        views = prompts if isinstance(prompts, ViewPrompts) else ViewPrompts.of_texts(prompts)
        for text in views.texts:
            self._learn(text)
        pictures = {}
        if cameras is not None and self.camera == "exact":
            seen = [self._render(surface, cameras) for surface in self.surfaces.values()]
            pictures = {"pictures": torch.stack(seen, dim=1)}
        texts = lambda column: self._condition([((text, 1.0),) for text in column], pictures)  # noqa: E731
        perpendicular = tuple(
            (texts(unwanted), weight.to(self.device)) for unwanted, weight in views.perpendicular
        )
        wanted = self._condition(views.positive, pictures)
        empty = texts([""] * len(views)) if pictures else None
        return Condition(wanted.tensors, texts(views.negative), perpendicular, empty)

    def network(self, x_t: Latents, t: Times, condition: Condition) -> Latents:
        """v of the exact denoiser."""
        alpha, sigma = self.schedule.alpha_sigma(t)
        weights = condition.tensors["weights"].to(x_t)
        pictures = condition.tensors.get("pictures")
        if pictures is None:
            pictures = torch.cat([self._known(name) for name in self.surfaces])[None, : weights.shape[1]]
        x_0, eps = posterior(
            x_t, alpha, sigma, pictures.to(x_t), self.background.to(x_t), self.background_std, weights
        )
        return target("v", x_0, eps, per_sample(alpha, x_t), per_sample(sigma, x_t))

    def _learn(self, text: str) -> None:
        """Know what a text names from now on."""
        name = _name(text)
        if name == "" or name in self.surfaces:
            return
        if self.closed:
            raise UserError(f"This prior knows {', '.join(self.surfaces)}; not {name!r}. Add it to prompts.")
        self.surfaces[name] = self.things.named(without_view(text)).surface

    def _condition(self, blends: Sequence[Blend], pictures: dict[str, Tensor]) -> Condition:
        """The weights of the pictures that each blend of texts leaves, made to sum to 1."""
        if not self.surfaces:
            raise UserError('This prior knows nothing yet: name something, as in prompts=["a red mushroom"].')
        weigh = self._weights_of_things if pictures else self._weights_of_views
        rows = [sum(share * weigh(text) for text, share in blend) for blend in blends]
        return Condition({"weights": torch.stack(rows).to(self.device), **pictures})

    def _weights_of_things(self, text: str) -> Float[Tensor, " k"]:
        name = _name(text)
        chosen = torch.tensor([name in ("", known) for known in self.surfaces]).float()
        return chosen / chosen.sum()

    def _weights_of_views(self, text: str) -> Float[Tensor, " k"]:
        said = [part.strip() for part in text.lower().split(",") if part.strip() in VIEWS]
        places = zip(self.bank_cameras.azimuth_deg.tolist(), self.bank_cameras.elevation_deg.tolist())
        fits = torch.tensor([not said or view_word(*place) in said for place in places]).float()
        if not fits.any():
            raise UserError(f"None of the {len(fits)} views is a {said[0]}: more views=.")
        weights = torch.outer(self._weights_of_things(text), fits / fits.sum())
        return weights.reshape(-1)

    def _known(self, name: str) -> Float[Tensor, "v 4 h w"]:
        """The pictures of a thing from all around, rendered once."""
        if name not in self._bank:
            self._bank[name] = self._render(self.surfaces[name], self.bank_cameras)
        return self._bank[name].to(self.device)

    def _render(self, surface: Surface, cameras: Cameras) -> Float[Tensor, "b 4 h w"]:
        return rgba(surface, cameras.resized(self.resolution, self.resolution)).to(self.device)


def rgba(surface: Surface, cameras: Cameras) -> Float[Tensor, "b 4 h w"]:
    """Colours on black, and the mask, under the light that stands still."""
    found = stills(surface, cameras, background=0.0)
    both = np.concatenate([found.images, found.masks[..., None]], axis=-1)
    return torch.from_numpy(both).movedim(-1, 1).contiguous()


def posterior(
    x_t: Float[Tensor, "b 3 h w"],
    alpha: Float[Tensor, " b"],
    sigma: Float[Tensor, " b"],
    pictures: Float[Tensor, "#b k 4 h w"],
    background: Float[Tensor, "3"],
    background_std: float,
    weights: Float[Tensor, "b k"],
) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 3 h w"]]:
    """E[x_0 | x_t] and E[eps | x_t]: the formulae on top.

    Args:
        pictures: Renders on black, and their masks.
        background, background_std: c_0 and s, in RGB units.
    """
    a, sigma = alpha[:, None], sigma.clamp(min=1e-6)[:, None]  # b 1
    variance = background_std**2
    u = 2 * (1 - pictures[:, :, 3])  # b k h w
    m = 2 * pictures[:, :, :3] - 1 + u[:, :, None] * background[:, None, None]
    d = x_t[:, None] - a[..., None, None, None] * m
    V = sigma**2 + a**2 * variance * u.square().sum((2, 3))  # b k
    delta = torch.einsum("bkhw,bkchw->bkc", u.expand(len(x_t), -1, -1, -1), d)
    delta = a[..., None] * variance * delta / V[..., None]
    shift = u[:, :, None] * delta[..., None, None]
    e = d - a[..., None, None, None] * shift
    misfit = e.flatten(2).square().sum(2) / sigma**2
    if variance:
        misfit = misfit + delta.square().sum(2) / variance
    log_r = weights.log() - 0.5 * misfit - 1.5 * (V / sigma**2).log()
    r = torch.softmax(log_r, dim=1)
    x_0 = torch.einsum("bk,bkchw->bchw", r, m + shift)
    return x_0, torch.einsum("bk,bkchw->bchw", r, e) / sigma[..., None, None]


def _name(text: str) -> str:
    return without_article(without_view(text))
