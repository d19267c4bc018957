"""`suite train_view_volume`: from one picture of a thing, the volume whose views from elsewhere are the true ones.

views of things (rendered on the fly) -> a picture and its other views -> network -> view_volume/
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from priors.loading.zero123 import VOLUME, load_shape_memory, load_view_volume
from priors.shape_memory import Recalled
from priors.symmetry import Planes
from priors.train.base import CODEC_BATCH, TrainDenoiser, check_sizes
from priors.train.denoiser import save_half
from priors.train.plane_guesses import PLANES, plane_surprise, right_planes, told_planes
from priors.train.train_novel_view import PREVIEWED, pictures_of
from priors.train.v_loss import follow
from priors.view_volume import ViewVolume, reminded
from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.geometry.frustum_volumes import Volumes, cast_rays, render_volumes
from suite.io.images import contact_sheet, write_image
from suite.metrics.images import WINDOW, psnr, ssim
from suite.rng import global_randomness, reseed
from suite.run import Run
from suite.toyworld.dataset import real_surfaces
from suite.toyworld.pool import Pool
from suite.toyworld.view_pairs import FOV_DEG, ViewPairs, Viewpoints, cameras_of, depth_of
from suite.types import Images

TOLD = 0.2  # share of things that are told of planes of symmetry by chance, right or wrong ones
UNSURE = 1e-3  # how much of a ray may end anywhere, at no more than this surprise


class VolumeTraining(nn.Module):
    """What learns: the network that makes volumes.

    Args:
        init: A folder that has a view_volume/ to go on from, of an earlier training or a Zero123; empty starts from
            nothing.
        size: Height and width of the pictures in pixels.
        network: Options of a new `ViewVolume`.
        ema: Decay of the moving average.
        autocast: Whether matrix products run in bfloat16.
        seed: Of the first weights.
        memory: A folder of `suite train_shape_memory`; empty for what init has.
    """

    evolving = True  # the moving average needs no gradient, but belongs to the state

    def __init__(
        self,
        *,
        init: str = "",
        size: int = 64,
        network: Mapping[str, Any] | None = None,
        ema: float = 0.999,
        autocast: bool = True,
        seed: int = 0,
        memory: str = "",
    ) -> None:
        super().__init__()
        self.decay, self.autocast = ema, autocast
        with global_randomness():
            reseed(seed, 0, "view volume")
            volume = load_view_volume(init) if init else _new(size, network or {})
            if memory:
                volume = reminded(volume, load_shape_memory(memory))
        if volume.config.size != size:
            raise UserError(f"{init} knows pictures of {volume.config.size} pixels, not size={size}.")
        self.learning = nn.ModuleDict({VOLUME: volume}).float().requires_grad_(True)
        self.learning.to(memory_format=torch.channels_last)
        if volume.memory:
            volume.memory.requires_grad_(False)
        self.average = copy.deepcopy(self.learning).requires_grad_(False).eval()

    def volumes(self, images: Images, reference: Cameras) -> Volumes:
        """Of pictures, by the average."""
        return self.average[VOLUME](images, reference)

    def told(
        self, images: Images, reference: Cameras, recalled: Recalled | None
    ) -> tuple[Volumes, Float[Tensor, " b"]]:
        """`ViewVolume.told` of what learns."""
        network = self.learning.train()[VOLUME]
        if network.memory:
            network.memory.eval()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.autocast):
            return network.told(images, reference, recalled)

    def update_average(self, step: int) -> None:
        """Move the average towards what was learnt; quickly at first."""
        follow(self.average, self.learning, step, decay=self.decay)

    def save(self, directory: Path) -> None:
        """Write the average in half precision: `view_volume/`."""
        save_half(self.average[VOLUME], directory / VOLUME)


@dataclass(frozen=True)
class Reminded:
    """A thing's viewpoints, and what its first view reminds of: occupancies in bytes and how outlines differ."""

    viewpoints: Viewpoints
    recalled: UInt8[Tensor, "layers rows columns"] | None = None
    differs: float = 0.0
    plane_deg: float = 0.0  # relative to the first camera's azimuth
    sure: float = 0.0


@dataclass(frozen=True)
class RemindedBatch:
    """`b` things: their views as `ViewBatch` has them."""

    images: np.ndarray
    labels: tuple[Reminded, ...]


class RemindedViews:
    """Views of things, and what a volume says of the first of each: what its memory recalls, and its plane of symmetry.

    A share of the things is not reminded of its own shape, so that others help with what is new.
    """

    def __init__(self, pairs: ViewPairs, volume: ViewVolume, forget: float, half: bool) -> None:
        self.pairs, self.volume, self.forget, self.half = pairs, volume, forget, half
        names = volume.memory.config.shapes if volume.memory else ()
        self.known = {name: number for number, name in enumerate(names)}

    def batch(self, count: int, seed: int, number: int) -> RemindedBatch:
        """The batch of this number: `count` things."""
        batch = self.pairs.batch(count, seed, number)
        if self.volume.memory is None:
            return RemindedBatch(batch.images, tuple(map(Reminded, batch.labels)))
        views, cameras = views_of(pictures_of(batch.images[..., :3]), batch.labels)
        shapes = torch.tensor([self.known.get(seen.shape, -1) for seen in batch.labels])
        forgotten = np.random.default_rng([seed, number, 1]).random(count) < self.forget
        without = torch.where(torch.from_numpy(forgotten), shapes, -1)
        device = self.volume.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.half):
            given, reference = views[:, 0].to(device), cameras[0].to(device)
            found = self.volume.recall(given, reference, without=without.to(device))
        filled = (255 * found.occupancy).round().byte().cpu()
        planes = found.planes
        numbers = (found.differs.tolist(), planes.azimuth_deg.tolist(), planes.sure.tolist())
        labels = map(Reminded, batch.labels, filled, *numbers)
        return RemindedBatch(batch.images, tuple(labels))


class TrainViewVolume(TrainDenoiser):
    """Trains the volume of `train_novel_view volume=`: PSNR is what it learns, shapes are what comes of it.

    Args:
        objects: A folder of meshes to learn too, as `suite prepare_objects` makes; empty for none.
        init: A folder that has a view_volume/ to go on from, as volume/ of a run of `suite train_view_solids`, or a
            Zero123 with one, as pocket_zero123; empty starts from nothing.
        memory: The folder that `suite train_shape_memory` made, of shapes that pictures may remind of; empty for
            what init has.
        forget: Share of things whose own shape is not recalled, so that others' help with what is new.
        size: Height and width of the pictures in pixels.
        batch: Things in a step.
        views: Views of each: one is given, all are compared.
        patch: Side of the square of each view that is compared in a step, in pixels.
        geometry: Weight of true depths, -log of how much of a ray ends where it should, beside squared errors.
        structure: Weight of 1 - SSIM of the squares beside them.
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
        seed: Of weights, pictures and rays.
    """

    def __init__(
        self,
        *,
        objects: str = "",
        init: str = "",
        memory: str = "",
        forget: float = 0.25,
        size: int = 64,
        batch: int = 32,
        views: int = 4,
        patch: int = 24,
        geometry: float = 0.01,
        structure: float = 0.02,
        shares: tuple[float, float, float, float, float] = (0.4, 0.2, 0.05, 0.15, 0.2),
        repaint: float = 0.5,
        stretch: float = 0.3,
        reuse: int = 4,
        pool: int = 64,
        steps: int = 20_000,
        lr: float = 1e-3,
        network: Mapping[str, Any] | None = None,
        ema: float = 0.999,
        half: bool = True,
        seed: int = 0,
    ) -> None:
        check_sizes(size=size, lr=lr, noisy=1.0, batch=batch, reuse=reuse, pool=pool, steps=steps)
        self.steps, self.lr, self.seed, self.size = steps, lr, seed, size
        if not WINDOW <= patch <= size:
            raise UserError(f"patch must be {WINDOW} (SSIM's window) to {size} pixels, got {patch}.")
        if not 0 <= forget <= 1:
            raise UserError(f"forget is a share from 0 to 1, got {forget:g}.")
        self.patch, self.geometry, self.structure = patch, geometry, structure
        real = real_surfaces(objects) if objects else []
        pairs = ViewPairs(
            real=real, size=size, views=views, depths=True, shares=shares, repaint=repaint, stretch=stretch
        )
        self.training = VolumeTraining(
            init=init, size=size, network=network, ema=ema, autocast=half, seed=seed, memory=memory
        )
        views_and_shapes = RemindedViews(pairs, copy.deepcopy(self.training.average[VOLUME]), forget, half)
        self.pool = Pool(views_and_shapes, batch=batch, reuse=reuse, size=pool, seed=seed)

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        device = next(self.training.parameters()).device
        strips, labels = self.pool.draw(step, generator)
        views, cameras = views_of(strips, [label.viewpoints for label in labels])
        views, cameras, turned = mirrored(views, cameras, generator)
        views, cameras = views.to(device), [camera.to(device) for camera in cameras]
        recalled, right = None, torch.full((len(views),), torch.nan, device=device)
        if labels[0].recalled is not None:
            recalled, right = self.recalled(labels, turned, generator)
            recalled, right = recalled.to(device), right.to(device)
        volumes, fits = self.training.told(views[:, 0, :3], cameras[0], recalled)
        errors, surprises, differences = [], [], []
        for number, camera in enumerate(cameras):
            pixels = random_squares(len(views), self.patch, self.size, generator).to(device)
            jitter = torch.rand(pixels.shape, generator=generator).to(device)
            true = views[:, number].flatten(2).gather(2, pixels[:, None].expand(-1, 4, -1))
            depth = depth_of(true[:, 3:], camera.distance)[:, 0]
            made, ends = cast_rays(volumes, cameras[0], camera, pixels, jitter=jitter, depth=depth)
            square = (self.patch, self.patch)
            errors.append((made - true[:, :3]).square().mean())
            surprises.append(-torch.log(ends + UNSURE).mean())
            differences.append(1 - ssim(made.unflatten(2, square), true[:, :3].unflatten(2, square)).mean())
        error, surprise, difference = (torch.stack(x).mean() for x in (errors, surprises, differences))
        self.log("elsewhere", torch.stack(errors[1:]).mean().detach())
        self.log("surprise", surprise.detach())
        self.log("difference", difference.detach())
        unlike = plane_surprise(fits, right)
        if recalled is not None:
            self.log("plane", unlike.detach())
        return error + self.geometry * surprise + self.structure * difference + PLANES * unlike

    def recalled(
        self, labels: Sequence[Reminded], turned: Bool[Tensor, " b"], generator: torch.Generator
    ) -> tuple[Recalled, Float[Tensor, " b"]]:
        """What things' first views, some of them in a mirror, remind of; and whether the planes of symmetry are right.

        Of a share of the things other planes are told than were found.
        """
        viewpoints = [label.viewpoints for label in labels]
        occupancy = torch.stack([label.recalled for label in labels]).float() / 255
        occupancy = torch.where(turned[:, None, None, None], occupancy.flip(-1), occupancy)
        differs, azimuth, sure = torch.tensor([(x.differs, x.plane_deg, x.sure) for x in labels]).unbind(1)
        other = told_planes(viewpoints, turned, generator)
        told = torch.rand(len(labels), generator=generator) < TOLD
        azimuth = torch.where(told, other.azimuth_deg, torch.where(turned, -azimuth, azimuth))
        planes = Planes(azimuth, torch.where(told, other.sure, sure))
        return Recalled(occupancy, differs, planes), right_planes(planes, viewpoints, turned)

    def preview(self, step: int, run: Run) -> None:
        """Picture, volume's view and truth; PSNR and SSIM of held-out things in the log."""
        show_volumes(self.training, self.size, self.seed, step, run)

    def finish(self, run: Run) -> dict[str, float]:
        return save_volume(self.training, run)


def _new(size: int, network: Mapping[str, Any]) -> ViewVolume:
    """A new network.

    Raises:
        UserError: Options that it does not have, or that do not fit.
    """
    try:
        return ViewVolume(size, **network)
    except (TypeError, ValueError) as error:
        raise UserError(f"network={dict(network)} makes no network: {error}") from error


def show_volumes(training: VolumeTraining, size: int, seed: int, step: int, run: Run) -> None:
    """Writes images/volumes_STEP.png: picture, volume's view and truth; logs PSNR and SSIM of each split."""
    rows, device = [], next(training.parameters()).device
    for split in PREVIEWED:
        batch = ViewPairs(size=size, views=2, split=split).batch(16, seed, CODEC_BATCH + 1)
        views, cameras = views_of(pictures_of(batch.images), batch.labels)
        given, reference, wanted = views[:, 0].to(device), cameras[0].to(device), cameras[1].to(device)
        with torch.no_grad():
            volumes = training.volumes(given, reference)
            made = render_volumes(volumes, reference, wanted).clamp(0, 1).cpu()
        true = views[:, 1]
        run.log.info(
            f"{split}: PSNR {float(psnr(made, true).mean()):.2f} dB, SSIM {float(ssim(made, true).mean()):.3f}"
        )
        rows += [image for trio in zip(views[:4, 0], made[:4], true[:4]) for image in trio]
    labels = ["given", "volume", "true"] * (len(rows) // 3)
    path = run.path("images", f"volumes_{step:06d}.png")
    write_image(path, contact_sheet(torch.stack(rows), columns=12, labels=labels))


def save_volume(training: VolumeTraining, run: Run) -> dict[str, float]:
    """Writes the run directory's volume/, and says how large it is."""
    directory = run.path("volume", VOLUME).parent
    training.save(directory)
    return {"volume_megabytes": sum(path.stat().st_size for path in directory.rglob("*.*")) / 1e6}


def views_of(
    strips: Float[Tensor, "b c h vw"], viewpoints: Sequence[Viewpoints]
) -> tuple[Float[Tensor, "b v c h w"], list[Cameras]]:
    """The views of each thing, and for each of the `v` the cameras of all things."""
    views, size = len(viewpoints[0].distance), strips.shape[2]
    every = torch.arange(len(strips)) * views
    cameras = cameras_of(viewpoints, size)
    return strips.unflatten(3, (views, size)).movedim(3, 1), [cameras[every + k] for k in range(views)]


def random_squares(count: int, side: int, size: int, generator: torch.Generator) -> Int[Tensor, "b r"]:
    """Pixels, row times width plus column, of a square in each picture; those at edges as often as others."""
    corners = torch.rand(count, 2, generator=generator) * (size + side) - side
    rows, columns = corners.round().long().clamp(0, size - side).unbind(1)
    square = torch.arange(side)[:, None] * size + torch.arange(side)
    return (rows * size + columns)[:, None] + square.flatten()


def mirrored(
    views: Float[Tensor, "b v c h w"], cameras: Sequence[Cameras], generator: torch.Generator
) -> tuple[Float[Tensor, "b v c h w"], list[Cameras], Bool[Tensor, " b"]]:
    """Every other thing, by chance, in a mirror: left is right, and azimuths are negative; and which these are."""
    turn = torch.rand(len(views), generator=generator) < 0.5
    views = torch.where(turn[:, None, None, None, None], views.flip(-1), views)
    size = views.shape[-1]
    sign = torch.where(turn, -1.0, 1.0)
    cameras = [
        Cameras.orbit(sign * c.azimuth_deg, c.elevation_deg, c.distance, FOV_DEG, height=size, width=size)
        for c in cameras
    ]
    return views, cameras, turn
