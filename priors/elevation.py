"""From which elevation was a picture taken? The one at which a view-conditioned prior's other views fit one shape.

Zero-1-to-3 is told how the camera moves, not where it stands. So a ring of views is sampled once, and every candidate
elevation places the same silhouettes elsewhere. Only at the right one do they belong to one solid:

    hull(e)  = the part of space that lies in every view's silhouette, the cameras placed from elevation e
    score(e) = mean over views of |silhouette seen of the hull and in the view| / |in either|

The picture's own silhouette is asked of the prior too: framed by its outline, it is not where the others are. The hull
is within every silhouette by construction; what silhouettes have beyond it, no shape explains. Spheres, and
what is nearly one, fit at any elevation: then the scores hardly differ, and nothing is claimed. (One-2-3-45, Liu et
al. 2023, arXiv:2306.16928, compares points that are matched between four such views; silhouettes need no matcher.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from priors.base import Condition, Prior
from priors.reference import Reference
from priors.view_sampling import sampled
from suite.diffusion.samplers import starting_noise
from suite.geometry.cameras import Cameras
from suite.rng import generator
from suite.run import Run
from suite.types import Images, Masks

CANDIDATES = tuple(range(-10, 61, 5))
AZIMUTHS = (45, 90, 135, 180, 225, 270, 315)  # of the level ring, relative to the picture
ABOVE, ABOVE_AT = 30, (0, 90, 180, 270)  # and of one above it
FALLBACK_DEG = 10.0  # where nothing can be told: most pictures are taken from slightly above
CONTRAST = 0.005  # of the scores, best minus median, below which nothing is claimed
VOXELS, RAYS, STEPS, REACH = 40, 40, 40, 0.6


@dataclass(frozen=True)
class Estimate:
    """Args:
    elevation_deg: The best elevation, or the fallback.
    scores: Of every candidate, by its elevation.
    reliable: Whether the scores tell candidates apart.
    """

    elevation_deg: float
    scores: dict[int, float]
    reliable: bool


def estimate_elevation(
    prior: Prior,
    reference: Reference,
    texts: str = "",
    *,
    seed: int = 0,
    steps: int = 20,
    scale: float = 2.0,
    candidates: Sequence[int] = CANDIDATES,
) -> Estimate:
    """The elevation of a picture, by the prior's views of it.

    Priors that are told the picture's own elevation (Stable Zero123's pose) are asked once for each candidate.

    Args:
        texts: What the picture shows, for priors that want to know.
        steps, scale: Of sampling the views.
    """
    offsets = [(0, 0)] + [(a, 0) for a in AZIMUTHS] + [(a, ABOVE) for a in ABOVE_AT]
    told = "polar" in getattr(prior, "pose", "radius")
    masks, scores = None, {}
    for elevation in candidates:
        if masks is None or told:
            shown = reference.at_elevation(float(elevation if told else FALLBACK_DEG))
            wanted = _moved(shown.camera, offsets)
            images = sampled_views(
                prior, shown, wanted, texts, seed=seed, steps=steps, scale=scale, start=1.0
            )
            masks = silhouettes(images)
        camera = reference.at_elevation(float(elevation)).camera
        scores[int(elevation)] = agreement(masks, _moved(camera, offsets))
    return judged(scores)


def judged(scores: dict[int, float]) -> Estimate:
    """The top of the parabola through the best score and its neighbours, if it stands out."""
    elevations, values = list(scores), torch.tensor(list(scores.values()))
    k = int(values.argmax())
    if float(values[k] - values.median()) < CONTRAST:
        return Estimate(FALLBACK_DEG, scores, False)
    best = float(elevations[k])
    if 0 < k < len(values) - 1:
        left, middle, right = values[k - 1 : k + 2].tolist()
        bend = left - 2 * middle + right
        step = (elevations[k + 1] - elevations[k - 1]) / 2
        best += step * 0.5 * (left - right) / bend if bend < 0 else 0.0
    return Estimate(best, scores, True)


def with_elevation(
    prior: Prior, reference: Reference, text: str, run: Run, seed: int
) -> tuple[Reference, dict[str, float]]:
    """The picture at its estimated elevation, and measures: elevation_deg, elevation_error_deg where it is known."""
    found = estimate_elevation(prior, reference, text, seed=seed)
    if found.reliable:
        run.log.info("The picture's elevation is estimated: %.0f degrees.", found.elevation_deg)
    else:
        run.log.warning(
            "The picture's elevation cannot be told; %.0f degrees are taken. Type elevation_deg=... if you know it.",
            found.elevation_deg,
        )
    measures = {"elevation_deg": round(found.elevation_deg, 1)}
    if reference.true_elevation_deg is not None:
        error = found.elevation_deg - reference.true_elevation_deg
        measures["elevation_error_deg"] = round(error, 1)
    return reference.at_elevation(found.elevation_deg), measures


@torch.no_grad()
def sampled_views(
    prior: Prior,
    reference: Reference,
    wanted: Cameras,
    text: str = "",
    *,
    seed: int = 0,
    steps: int = 25,
    scale: float | None = None,
    start: float | None = None,
    batch: int = 8,
) -> Images:
    """What the prior shows from the wanted cameras, given the picture.

    Args:
        text: What the picture shows, for priors that want to know.
        seed: Of the noise; each view has its own, whatever the batch.
        scale: Classifier-free guidance; None is what suits the prior.
        start: See `priors.view_sampling`; None is what suits the prior.
    """
    prior.show(reference.image.to(prior.device), reference.camera.to(prior.device))
    scale = prior.guidance_scale if scale is None else scale
    start = prior.start if start is None else start
    done = []
    for first in range(0, len(wanted), batch):
        some = wanted[first : first + batch].to(prior.device)
        condition: Condition = prior.embed([text] * len(some), some)
        noise = torch.cat(
            [
                starting_noise(prior, 1, generator(seed, first + k, "view", prior.device))
                for k in range(len(some))
            ]
        )
        expected = prior.expected(some) if start < 1 else None
        views = sampled(prior, noise, condition, expected, steps=steps, scale=scale, start=start)
        done.append(views.cpu())
    return torch.cat(done)


def silhouettes(images: Images, *, tolerance: float = 0.06) -> Masks:
    """Where a picture on white is not white; what that encloses is part of it."""
    from scipy import ndimage

    solid = (1 - images.amin(dim=1, keepdim=True)) > tolerance
    filled = [torch.from_numpy(ndimage.binary_fill_holes(mask[0].numpy())) for mask in solid]
    return torch.stack(filled)[:, None].float()


def agreement(masks: Masks, cameras: Cameras) -> float:
    """How well the silhouettes belong to one solid: the mean IoU of each with that of the visual hull, in [0, 1]."""
    line = torch.linspace(-REACH, REACH, VOXELS)
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")  # as grid_sample's volumes lie
    points = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
    pixels, _ = cameras.project(points)
    places = 2 * pixels / pixels.new_tensor([cameras.width, cameras.height]) - 1
    inside = F.grid_sample(masks, places[:, None], align_corners=False)  # v 1 1 n
    hull = inside.amin(dim=0).reshape(1, 1, VOXELS, VOXELS, VOXELS)
    seen = hull_views(hull, cameras.resized(RAYS, RAYS)) > 0.5
    wanted = F.interpolate(masks, (RAYS, RAYS), mode="area") > 0.5
    both, either = ((f(seen, wanted)).flatten(1).sum(1) for f in (torch.logical_and, torch.logical_or))
    return float((both / either.clamp(min=1)).mean())


def hull_views(hull: Float[Tensor, "1 1 z y x"], cameras: Cameras) -> Masks:
    """The largest value along each ray."""
    rays = cameras.rays()
    near, far = float(cameras.distance.min()) - 1.0, float(cameras.distance.max()) + 1.0
    at = torch.linspace(near, far, STEPS)
    points = rays.origins[..., None, :] + at[:, None] * rays.directions[..., None, :]  # v h w s 3
    v, h, w, s, _ = points.shape
    found = F.grid_sample(hull, (points / REACH).reshape(1, v, h * w, s, 3), align_corners=True)
    return found.amax(dim=-1).reshape(v, 1, h, w)


def _moved(camera: Cameras, offsets: Sequence[tuple[int, int]]) -> Cameras:
    """Cameras turned by (azimuth, elevation) in degrees from one."""
    turn = torch.tensor(offsets, dtype=torch.float32)
    return Cameras.orbit(
        camera.azimuth_deg.cpu() + turn[:, 0],
        (camera.elevation_deg.cpu() + turn[:, 1]).clamp(-90, 90),
        float(camera.distance),
        float(camera.fov_deg),
        height=camera.height,
        width=camera.width,
    )
