"""A perfect Zero-1-to-3 of toyworld: told one picture and how the camera moves, it knows every other view exactly.

It recognises what a picture shows, and from where, among the things that it knows. The wanted view of thing k is then
its render m_k from there, moved as Zero123 is told to (d polar, d azimuth, d distance): on white, under one light. So

    x_0_hat = sum_k r_k m_k,    r_k = softmax_k [ log w_k - |x_t - alpha m_k|^2 / (2 sigma^2) ]

with w_k the likelihood of the picture under thing k. As Zero123 it is never told the picture's own elevation: whoever
asks with a wrong one gets the views of the true one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from priors.base import CameraContract, Condition
from priors.pixels import PixelPrior
from priors.toyworld import posterior, rgba
from priors.view_prior import ViewPrior
from suite.diffusion.noise import NoiseSchedule, per_sample, target
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.io.cutout import centroids
from suite.toyworld.lookup import Things, without_article, without_view
from suite.toyworld.objects import Surface
from suite.toyworld.view_pairs import DISTANCE, FOV_DEG
from suite.types import Images, Latents, Masks, Times

NOISE = 0.05  # deviation of a pixel between a picture and the right render of it
COARSE = 32  # pixels: of the renders that a picture is first compared with
CLOSEST = 3  # of them are refined


@dataclass(frozen=True)
class Seen:
    """From where a thing is seen in a picture, in its own frame, and how far its render is from the picture."""

    azimuth_deg: float
    elevation_deg: float
    distance: float
    misfit: float


class ExactViews(PixelPrior, ViewPrior):
    """Every view of a thing of toyworld, given one picture of it.

    "" means any of the things it knows; so with one thing guidance changes nothing at any scale.

    Args:
        things: What it recognises, as "a red mushroom"; none is what the texts name that it is asked with.
        objects: A folder of captioned meshes to know too, as `suite prepare_objects` makes.
        size: Side of its pictures in pixels.
        schedule: The cosine schedule unless given.

    Raises:
        UserError: A text names nothing that is known.
    """

    guidance_scale = 3.0

    def __init__(
        self,
        *,
        things: Sequence[str] = (),
        objects: str = "",
        size: int = 64,
        schedule: NoiseSchedule | None = None,
    ) -> None:
        super().__init__()
        if size < 16:
            raise UserError(f"ExactViews needs size >= 16, got {size}.")
        self.schedule, self.kind = schedule or NoiseSchedule.cosine(), "v"
        self.latent_channels, self.factor, self.resolution = 3, 1, size
        self.camera_contract = CameraContract(fov_deg=(FOV_DEG, FOV_DEG), distance=DISTANCE)
        self.register_buffer("white", torch.ones(3), persistent=False)
        self.known, self.surfaces, self.closed = Things(objects), {}, False
        for thing in things:
            self._learn(thing)
        self.closed = len(things) > 0
        self._places: dict[str, Seen] = {}

    def show(self, image: Images, reference: Cameras) -> None:
        """The picture that `embed` speaks of from now on, and the camera that is said to have taken it.

        Raises:
            ValueError: More than one picture or camera.
        """
        if len(image) != 1 or len(reference) != 1:
            raise ValueError(f"show takes one picture and one camera, got {len(image)} and {len(reference)}.")
        self.camera_contract.check(reference)
        image = image.detach().cpu()
        if self._shown is None or not self._looks_alike(image, reference):
            self._places = {}
        self._shown = (image, reference)

    def condition_of(
        self, texts: Sequence[str], cameras: Cameras, image: Images | None, reference: Cameras | None
    ) -> Condition:
        """What the picture may show, from each camera; of the texts only the thing that they name counts."""
        if image is not None:
            self.show(image, reference)
        for text in texts:
            self._learn(text)
        pictures = torch.stack([self._views(name, cameras) for name in self._recognised()], dim=1)
        misfit = torch.tensor([seen.misfit for seen in self._recognised().values()])
        likelihood = torch.softmax(-misfit * 3 * self.resolution**2 / (2 * NOISE**2), dim=0)
        weights = likelihood.expand(len(cameras), -1).to(self.device)
        found = {"pictures": pictures.to(self.device), "weights": weights}
        nothing = Condition(found | {"weights": torch.full_like(weights, 1 / weights.shape[1])})
        return Condition(found, nothing, empty=nothing)

    def encode_text(self, texts: Sequence[str]) -> Condition:
        """Refused: it is conditioned on a picture and cameras.

        Raises:
            ValueError: Always.
        """
        raise ValueError("ExactViews is asked with cameras: embed(texts, cameras).")

    def network(self, x_t: Latents, t: Times, condition: Condition) -> Latents:
        """v of the exact denoiser."""
        alpha, sigma = self.schedule.alpha_sigma(t)
        pictures, weights = (condition.tensors[name].to(x_t) for name in ("pictures", "weights"))
        x_0, eps = posterior(x_t, alpha, sigma, pictures, self.white.to(x_t), 0.0, weights)
        return target("v", x_0, eps, per_sample(alpha, x_t), per_sample(sigma, x_t))

    def _learn(self, text: str) -> None:
        name = without_article(without_view(text))
        if name == "" or name in self.surfaces:
            return
        if self.closed:
            raise UserError(f"This prior knows {', '.join(self.surfaces)}; not {name!r}. Add it to things.")
        self.surfaces[name] = self.known.named(without_view(text)).surface

    def _looks_alike(self, image: Images, reference: Cameras) -> bool:
        """Whether what was recognised in the picture shown last holds for this one."""
        before, camera = self._shown
        lens = lambda c: (float(c.fov_deg), float(c.distance))  # noqa: E731
        return before.shape == image.shape and torch.equal(before, image) and lens(camera) == lens(reference)

    def _recognised(self) -> dict[str, Seen]:
        """From where each thing that it knows would be seen in the picture."""
        if not self.surfaces:
            raise UserError(
                'This prior knows nothing yet: say what the picture shows, as prompt="a red mushroom".'
            )
        image, reference = self._shown
        for name, surface in self.surfaces.items():
            if name not in self._places:
                self._places[name] = recognised(surface, image, reference)
        return {name: self._places[name] for name in self.surfaces}

    def _views(self, name: str, cameras: Cameras) -> Float[Tensor, "b 4 h w"]:
        """The thing's renders from the wanted cameras, moved to where the picture was really taken from."""
        seen, wanted, reference = self._places[name], cameras.to("cpu"), self._shown[1].to("cpu")
        true = Cameras.orbit(
            seen.azimuth_deg + wanted.azimuth_deg - reference.azimuth_deg,
            (seen.elevation_deg + wanted.elevation_deg - reference.elevation_deg).clamp(-90, 90),
            (seen.distance + wanted.distance - reference.distance).clamp(min=0.1),
            wanted.fov_deg,
            height=self.resolution,
            width=self.resolution,
        )
        return rgba(self.surfaces[name], true)


def recognised(surface: Surface, image: Images, reference: Cameras) -> Seen:
    """The camera from which a surface looks most like a picture: a grid of directions, then a pattern search.

    Renders are shifted to where the picture is, which need not show the thing's centre in its middle, and begin as
    far away as makes them as large.
    """
    fov, distance = float(reference.fov_deg), float(reference.distance)

    def misfits(places: Float[Tensor, "n 3"], size: int) -> Float[Tensor, " n"]:
        cameras = Cameras.orbit(*places.unbind(1), fov, height=size, width=size)
        shown = rgba(surface, cameras)
        smaller = torch.nn.functional.interpolate(image, (size, size), mode="bilinear", antialias=True)
        ink, wanted = 1 - (shown[:, :3] + 1 - shown[:, 3:]), 1 - smaller
        return (shifted(ink, ink_centroids(wanted) - ink_centroids(ink)) - wanted).square().mean((1, 2, 3))

    grid = torch.cartesian_prod(torch.arange(-180.0, 180, 12), torch.arange(-30.0, 90, 12))
    grid = torch.cat([grid, torch.full((len(grid), 1), distance)], dim=1)
    cameras = Cameras.orbit(*grid.unbind(1), fov, height=COARSE, width=COARSE)
    sizes = [spread(x) for x in (rgba(surface, cameras)[:, 3:], 1 - image.amin(dim=1, keepdim=True))]
    grid[:, 2] = (distance * sizes[0] / sizes[1]).clamp(0.75, 4.0)  # where the thing would be as large
    best = grid[misfits(grid, COARSE).argsort()[:CLOSEST]]
    found = [_searched(lambda places: misfits(places, image.shape[-1]), start) for start in best]
    place, misfit = min(found, key=lambda pair: pair[1])
    return Seen(*place.tolist(), misfit)


def ink_centroids(ink: Images) -> Float[Tensor, "b 2"]:
    """The middle of what is not white."""
    return centroids(ink.mean(dim=1, keepdim=True))


def spread(masks: Masks) -> Float[Tensor, " b"]:
    """Root of the mean squared distance from the middle, in fractions of the frame."""
    h, w = masks.shape[-2:]
    y, x = torch.meshgrid((torch.arange(h) + 0.5) / h, (torch.arange(w) + 0.5) / w, indexing="ij")
    middle = centroids(masks)[:, :, None, None]
    square = (x - middle[:, 0]) ** 2 + (y - middle[:, 1]) ** 2
    return ((masks[:, 0] * square).sum((1, 2)) / masks.sum((1, 2, 3)).clamp(min=1e-6)).sqrt()


def shifted(ink: Images, by: Float[Tensor, "b 2"]) -> Images:
    """Pictures moved by (x, y) fractions of their width and height; 0 comes in."""
    matrix = torch.eye(2, 3).repeat(len(ink), 1, 1)
    matrix[:, :, 2] = -2 * by
    grid = torch.nn.functional.affine_grid(matrix, list(ink.shape), align_corners=False)
    return torch.nn.functional.grid_sample(ink, grid, align_corners=False)


def _searched(misfits, start: Float[Tensor, "3"]) -> tuple[Float[Tensor, "3"], float]:
    """Steps along one axis at a time while they help, then half the step."""
    place, least = start, float(misfits(start[None])[0])
    step = torch.tensor([6.0, 6.0, 0.08])
    while step[0] > 0.2:
        around = place + torch.cat([torch.diag(step), -torch.diag(step)])
        around[:, 1] = around[:, 1].clamp(-90, 90)
        values = misfits(around)
        if float(values.min()) < least:
            place, least = around[values.argmin()], float(values.min())
        else:
            step = step / 2
    return place, least
