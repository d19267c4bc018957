"""`suite train_shape_memory`: the shapes of training objects, and the network that finds which of them a picture shows.

views of things (rendered on the fly) -> network -> shape_memory/

    loss = -log p(shape) - log p(azimuth | shape) - log p(plane of symmetry)

The plane is learnt from all things that have one, the rest from those whose shape is kept.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from priors.shape_memory import ShapeMemory, pack
from priors.symmetry import likeliest
from priors.train.base import CODEC_BATCH, mean_of
from priors.train.denoiser import save_half
from priors.train.train_novel_view import PREVIEWED, pictures_of
from priors.train.train_view_volume import views_of
from priors.train.v_loss import follow
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.metrics.judge_training import WarmCosine
from suite.rng import global_randomness, reseed
from suite.run import Run
from suite.task import Optimization
from suite.toyworld.dataset import real_surfaces
from suite.toyworld.objects import ObjectSpec, build, kinds
from suite.toyworld.occupancy import occupancy
from suite.toyworld.paints import COLORS
from suite.toyworld.pool import Pool
from suite.toyworld.view_pairs import HELD_OUT_KINDS, ViewPairs
from suite.types import Images

NOISE = 0.05  # the most, in half of the pictures
RIGHT_DEG = 10.0


class TrainShapeMemory(Optimization):
    """Trains the memory of `train_view_volume memory=`; the run directory's `shape_memory/` holds it.

    Args:
        objects: A folder of meshes to remember too, as `suite prepare_objects` makes; empty for none.
        size: Height and width of the pictures in pixels.
        grid: Voxels a side that a shape is kept in.
        batch: Things in a step.
        views: Views of each.
        shares: How often a thing is a procedural object, a real object, a person, a random assembly, and a hybrid.
        repaint: Share of real objects that are painted as toyworld's are.
        reuse: Steps for which a new batch of things is rendered once.
        pool: Rendered batches that are kept to draw from.
        steps: Number of steps.
        rate: Highest learning rate.
        widths: Channels of the network's levels.
        hidden: Numbers that it makes of a picture.
        ema: Decay of the moving average that is saved.
        half: Whether matrix products run in bfloat16.
        seed: Of weights and pictures.
    """

    def __init__(
        self,
        *,
        objects: str = "",
        size: int = 64,
        grid: int = 48,
        batch: int = 16,
        views: int = 8,
        shares: tuple[float, float, float, float, float] = (0.4, 0.25, 0.0, 0.1, 0.25),
        repaint: float = 0.5,
        reuse: int = 2,
        pool: int = 160,
        steps: int = 6000,
        rate: float = 2e-3,
        widths: tuple[int, ...] = (24, 48, 80, 112),
        hidden: int = 192,
        ema: float = 0.999,
        half: bool = True,
        seed: int = 0,
    ) -> None:
        counts = dict(grid=grid, batch=batch, views=views, reuse=reuse, pool=pool, steps=steps, hidden=hidden)
        for name, value in counts.items():
            if value < 1 + (name == "views"):
                raise UserError(f"{name} must be at least {1 + (name == 'views')}, got {value}.")
        if size % 32 or size < 32:
            raise UserError(f"size must be a multiple of 32, got {size}. Use 64.")
        if rate <= 0:
            raise UserError(f"rate must be positive, got {rate:g}.")
        self.steps, self.rate, self.seed = steps, rate, seed
        self.size, self.decay, self.half = size, ema, half
        real = real_surfaces(objects) if objects else []
        surfaces = {k: build(ObjectSpec(k, next(iter(COLORS)))) for k in kinds() if k not in HELD_OUT_KINDS}
        surfaces |= {thing.name: thing.surface for thing in real}
        self.places = {name: place for place, name in enumerate(surfaces)}
        packed = torch.from_numpy(pack(np.stack([occupancy(s, grid) for s in surfaces.values()])))
        with global_randomness():
            reseed(seed, 0, "shape memory")
            self.learning = ShapeMemory(
                tuple(surfaces), len(packed), grid=grid, size=size, widths=widths, hidden=hidden
            )
        self.learning.packed.copy_(packed)
        self.learning.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.learning).requires_grad_(False).eval()
        self.average.evolving = True
        pairs = ViewPairs(real=real, size=size, views=views, shares=shares, repaint=repaint)
        self.pool = Pool(pairs, batch=batch, reuse=reuse, size=pool, seed=seed)

    def parameter_groups(self) -> list[dict]:
        return [{"params": list(self.learning.parameters()), "lr": WarmCosine(self.rate)}]

    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.learning.parameters(), lr=self.rate, weight_decay=0.02, fused=True)

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        strips, viewpoints = self.pool.draw(step, generator)
        views, cameras = views_of(strips, viewpoints)
        images, reference = views.transpose(0, 1).flatten(0, 1), Cameras.cat(cameras)
        images = noisy(images, generator).to(self.learning.device)
        shapes = torch.tensor([self.places.get(seen.shape, -1) for seen in viewpoints]).repeat(len(cameras))
        planes = torch.tensor([seen.plane_deg for seen in viewpoints]).repeat(len(cameras))
        shapes, reference = shapes.to(images.device), reference.to(images.device)
        self.learning.train()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.half):
            features = self.learning.features(images, reference)
            named, mirrors = self.learning.shape(features), self.learning.plane(features)
            azimuths = self.learning.azimuths(features, shapes.clamp_min(0))
        known, planes = shapes >= 0, planes.to(images.device) - reference.azimuth_deg
        unlike = F.cross_entropy(named.float(), shapes.clamp_min(0), label_smoothing=0.02, reduction="none")
        turned = azimuth_surprise(azimuths.float(), reference.azimuth_deg)
        # bins of planes are from 0 to 180 degrees
        divided = azimuth_surprise(mirrors.float(), 2 * planes.nan_to_num(0.0))
        right = (named.argmax(1) == shapes).float()
        right, unlike, turned = (mean_of(x, known) for x in (right, unlike, turned))
        divided = mean_of(divided, planes.isfinite())
        for name, value in (("named", right), ("azimuth", turned), ("plane", divided)):
            self.log(name, value.detach())
        return unlike + turned + divided

    def after_step(self, step: int) -> None:
        follow(self.average, self.learning, step, decay=self.decay)

    def finish(self, run: Run) -> dict[str, float]:
        """Writes the memory; of held-out compositions, how often it names the shape, and the shape and its azimuth."""
        directory = run.path("shape_memory", "config.json").parent
        save_half(self.average, directory)
        found = examined(self.average, self.seed, self.size)
        for name, share in found.items():
            run.log.info(f"{name}: {100 * share:.1f} %")
        return found | {"megabytes": sum(path.stat().st_size for path in directory.iterdir()) / 1e6}


@torch.no_grad()
def examined(memory: ShapeMemory, seed: int, size: int, *, batches: int = 8) -> dict[str, float]:
    """Of held-out compositions, shares whose shape is recalled first, and from within 10 degrees of its azimuth.

    What is round has no azimuth and counts as wrong nearly always. Of symmetric ones, and of held-out kinds, shares
    whose plane of symmetry is found to within 10 degrees.
    """
    right, found = [], {}
    for split in PREVIEWED:
        pairs, near = ViewPairs(size=size, views=2, split=split), []
        for number in range(batches):
            batch = pairs.batch(32, seed, CODEC_BATCH + 2 + number)
            views, cameras = views_of(pictures_of(batch.images), batch.labels)
            given, reference = views[:, 0].to(memory.device), cameras[0].to(memory.device)
            planes = torch.tensor([seen.plane_deg for seen in batch.labels]) - cameras[0].azimuth_deg
            away = (likeliest(memory.planes(given, reference), 1)[0][:, 0].cpu() - planes + 90) % 180 - 90
            near.append((away.abs() < RIGHT_DEG)[planes.isfinite()])
            if split == "held_out":
                right.append(
                    recalled_rightly(memory, given, reference, [seen.shape for seen in batch.labels])
                )
        found[f"mirrored_{split}"] = float(torch.cat(near).float().mean())
    named, turned = torch.cat(right).unbind(1)
    return {
        "named": float(named.float().mean()),
        "named_and_turned": float((named & turned).float().mean()),
        **found,
    }


def recalled_rightly(
    memory: ShapeMemory, given: Images, reference: Cameras, shapes: Sequence[str]
) -> Bool[Tensor, "b 2"]:
    """Whether these shapes are recalled first, and from within 10 degrees of the cameras' azimuths."""
    guess = memory.hypotheses(given, reference).best()
    named = torch.tensor([memory.config.shapes[i] == s for i, s in zip(guess.shapes[:, 0].tolist(), shapes)])
    away = (guess.azimuths[:, 0].cpu() - reference.azimuth_deg.cpu() + 180) % 360 - 180
    return torch.stack([named, away.abs() < RIGHT_DEG], dim=1)


def azimuth_surprise(logits: Float[Tensor, "b a"], azimuth_deg: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """-log p of an azimuth: of its two nearest bins, as near as each is."""
    bins = logits.shape[1]
    place = azimuth_deg % 360 / 360 * bins
    first, share = place.floor().long(), place.frac()
    chances = logits.log_softmax(1)
    near, far = (chances.gather(1, ((first + k) % bins)[:, None])[:, 0] for k in (0, 1))
    return -(1 - share) * near - share * far


def noisy(images: Images, generator: torch.Generator) -> Images:
    """Every other picture, by chance, with noise."""
    strength, chance = torch.rand((2, len(images), 1, 1, 1), generator=generator)
    strength = NOISE * strength * (chance < 0.5)
    return (images + strength * torch.randn(images.shape, generator=generator)).clamp(0, 1)
