"""`suite train_view_solids`: from one picture of a thing and its plane of symmetry, what fills its camera's frustum.

pictures of things (rendered on the fly) and what fills their frustums -> network -> view_volume/

    loss = mean over voxels of -f log s(v) - (1 - f) log (1 - s(v))     f: share filled, s: sigmoid, v: raw density
           + PLANES times the same of whether the plane of symmetry that is told is the right one

Shapes are learnt many times faster so than from views: a thing is drawn once, no ray is cast, and every voxel has its
truth. `suite train_view_volume init=` goes on with views.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from priors.loading.zero123 import VOLUME
from priors.symmetry import Planes
from priors.train.base import CODEC_BATCH, TrainDenoiser, check_sizes
from priors.train.plane_guesses import PLANES, plane_surprise, right_planes, told_planes, true_planes
from priors.train.train_novel_view import PREVIEWED, pictures_of
from priors.train.train_shape_memory import noisy
from priors.train.train_view_volume import VolumeTraining, save_volume, show_volumes
from suite.geometry.frustum_occupancy import FULL
from suite.run import Run
from suite.toyworld.dataset import real_surfaces
from suite.toyworld.pool import Pool
from suite.toyworld.solids import Solids
from suite.toyworld.view_pairs import ViewPairs, cameras_of


class TrainViewSolids(TrainDenoiser):
    """Trains the volume of `train_view_volume init=` on shapes alone; its colours stay those of the picture.

    Args:
        objects: A folder of meshes to learn too, as `suite prepare_objects` makes; empty for none.
        init: A folder that has a view_volume/ to go on from; empty starts from nothing.
        size: Height and width of the pictures in pixels.
        batch: Things in a step.
        shares: How often a thing is a procedural object, a real object, a person, a random assembly, and a hybrid.
        repaint: Share of real objects that are painted as toyworld's are.
        stretch: Share of procedural and real objects that are stretched.
        reuse: Steps for which a new batch of things is rendered once.
        pool: Rendered batches that are kept to draw from.
        steps: Number of steps.
        lr: Learning rate after the first 500 steps and before the last fifth, in which it falls to nothing.
        network: Options of a new network: widths, blocks, cell, mixed, waves of
            `priors.view_volume.ViewVolume`.
        ema: Decay of the moving average that is saved.
        half: Whether matrix products run in bfloat16.
        seed: Of weights and pictures.
    """

    def __init__(
        self,
        *,
        objects: str = "",
        init: str = "",
        size: int = 64,
        batch: int = 128,
        shares: tuple[float, float, float, float, float] = (0.27, 0.2, 0.05, 0.15, 0.33),
        repaint: float = 0.6,
        stretch: float = 0.6,
        reuse: int = 3,
        pool: int = 160,
        steps: int = 12_000,
        lr: float = 2e-3,
        network: Mapping[str, Any] | None = None,
        ema: float = 0.999,
        half: bool = True,
        seed: int = 0,
    ) -> None:
        check_sizes(size=size, lr=lr, noisy=1.0, batch=batch, reuse=reuse, pool=pool, steps=steps)
        self.steps, self.lr, self.seed, self.size = steps, lr, seed, size
        self.training = VolumeTraining(
            init=init, size=size, network=network, ema=ema, autocast=half, seed=seed
        )
        real = real_surfaces(objects) if objects else []
        pairs = ViewPairs(real=real, size=size, shares=shares, repaint=repaint, stretch=stretch)
        self.pool = Pool(Solids(pairs, side=size // 2), batch=batch, reuse=reuse, size=pool, seed=seed)

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        images, solids = self.pool.draw(step, generator)
        reference = cameras_of([solid.viewpoints for solid in solids], self.size)
        filled = torch.stack([torch.from_numpy(solid.filled) for solid in solids]).float() / FULL
        turn = torch.rand(len(images), generator=generator) < 0.5
        mirror = turn[:, None, None, None]
        images, filled = (torch.where(mirror, x.flip(-1), x) for x in (images, filled))
        device = next(self.training.parameters()).device
        viewpoints = [solid.viewpoints for solid in solids]
        planes = told_planes(viewpoints, turn, generator)
        right = right_planes(planes, viewpoints, turn)
        images = noisy(images, generator).to(device)
        network = self.training.learning[VOLUME].train()
        with torch.autocast(device.type, torch.bfloat16, enabled=self.training.autocast):
            density, fits = network.densities(images, reference.to(device), planes.to(device))
        unlike = plane_surprise(fits, right.to(device))
        wrong = F.binary_cross_entropy_with_logits(density, filled.to(device))
        self.log("plane", unlike.detach())
        self.log("filled", wrong.detach())
        return wrong + PLANES * unlike

    def preview(self, step: int, run: Run) -> None:
        """Picture, volume's view and truth; PSNR and SSIM of held-out things in the log."""
        show_volumes(self.training, self.size, self.seed, step, run)

    def finish(self, run: Run) -> dict[str, float]:
        """Writes the volume; IoU of what it says is filled of each split's things, told nothing
        of their planes of symmetry, and told them."""
        found = {
            f"iou_{split}{'_told' if told else ''}": iou(
                self.training, split, self.size, self.seed, told=told
            )
            for split in PREVIEWED
            for told in (False, True)
        }
        for name, value in found.items():
            run.log.info(f"{name}: {value:.3f}")
        return found | save_volume(self.training, run)


@torch.no_grad()
def iou(training: VolumeTraining, split: str, size: int, seed: int, *, told: bool, count: int = 128) -> float:
    """Mean over things of the voxels that are truly filled, and said to be, over those that are either.

    Args:
        told: Whether it is told their planes of symmetry.
    """
    batch = Solids(ViewPairs(size=size, split=split), side=size // 2).batch(count, seed, CODEC_BATCH + 3)
    reference = cameras_of([solid.viewpoints for solid in batch.labels], size)
    device = next(training.parameters()).device
    images, reference = pictures_of(batch.images).to(device), reference.to(device)
    planes = Planes.unknown(count, device)
    if told:
        azimuth = true_planes([solid.viewpoints for solid in batch.labels], torch.zeros(count).bool())
        planes = Planes(azimuth.nan_to_num(0.0), azimuth.isfinite().float()).to(device)
    density, _ = training.average[VOLUME].densities(images, reference, planes)
    said = density.cpu() > 0
    true = torch.stack([torch.from_numpy(solid.filled) for solid in batch.labels]) > FULL // 2
    shared, joint = (x.sum((1, 2, 3)) for x in (said & true, said | true))
    return float((shared / joint.clamp_min(1)).mean())
