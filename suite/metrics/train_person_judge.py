"""Training of the person judge on true renders of toyworld's people, worn as generated pictures are.

loss = -mean log-probability of who it is (of those with a name) + 10 mean distance of joints (smooth L1, widths)
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from suite.metrics.judge_training import NOT_ASKED, SEED, JudgeTraining
from suite.metrics.person_judge import PersonJudge
from suite.metrics.videos import pose_error
from suite.metrics.wear import worn_clips
from suite.toyworld.animations import Animations
from suite.toyworld.outfits import OUTFITS
from suite.toyworld.pool import Pool

FRAMES = 4  # pictures of each person: a still and three of a motion
WIDE = 0.02  # of the picture: smaller distances of joints count quadratically


@dataclass(frozen=True)
class PersonLabel:
    """The name of the outfit ("" for one without), and the joints `17 2` in [0, 1]."""

    outfit: str
    joints: np.ndarray


@dataclass(frozen=True)
class PersonBatch:
    """`b` pictures `b h w 3` float32 RGB in [0, 1], and what is known of each."""

    images: np.ndarray
    labels: tuple[PersonLabel, ...]


class People:
    """Endless pictures of people, half of them in outfits that have a name; batches as a `Pool` asks for them.

    Args:
        size: Height and width in pixels.
    """

    def __init__(self, *, size: int = 64) -> None:
        named = tuple(OUTFITS.values())
        self.names = {outfit: name for name, outfit in OUTFITS.items()}
        self.sources = [
            Animations(size=size, frames=FRAMES - 1, split="all", outfits=outfits) for outfits in (named, ())
        ]

    def batch(self, count: int, seed: int, number: int) -> PersonBatch:
        """The batch of this number; `count` is a multiple of 8."""
        images, labels = [], []
        for k, source in enumerate(self.sources):
            made = source.batch(count // (2 * FRAMES), seed + k, number)
            images.append(made.frames.reshape(-1, *made.frames.shape[2:]))
            for label in made.labels:
                joints = label.poses.points.numpy() / source.size
                labels += [PersonLabel(self.names.get(label.outfit, ""), frame) for frame in joints]
        return PersonBatch(np.concatenate(images), tuple(labels))


class TrainPersonJudge(JudgeTraining):
    """Trains the network that `suite evaluate_animate` asks.

    Args:
        steps: Steps of training.
        batch: Pictures a step, a multiple of 8.
        reuse: Steps for which a new batch is rendered once: rendering costs more than learning.
        pool: Rendered batches that are kept to draw from.
        rate: Highest learning rate.
        widths: Channels of the network's levels.
        test_batches: Batches of true renders of yet other seeds for the measures at the end.
        export: A folder for the trained network beside the run directory's own.
        seed: Where randomness comes from.
    """

    kind = "person_judge"

    def __init__(
        self,
        *,
        steps: int = 6000,
        batch: int = 64,
        reuse: int = 4,
        pool: int = 128,
        rate: float = 2e-3,
        widths: tuple[int, int, int] = (32, 64, 128),
        test_batches: int = 16,
        export: str | None = None,
        seed: int = 0,
    ) -> None:
        if min(steps, test_batches) < 1:
            raise ValueError(f"steps and test_batches must be at least 1, got {steps} and {test_batches}.")
        if batch < 2 * FRAMES or batch % (2 * FRAMES):
            raise ValueError(f"batch={batch} must be a multiple of {2 * FRAMES}: {FRAMES} pictures a person.")
        self.people = People()
        self.pool = Pool(self.people, batch=batch, reuse=reuse, size=pool, seed=SEED + seed)
        self.steps, self.batch, self.rate, self.test_batches = steps, batch, rate, test_batches
        self.export, self.seed = export, seed
        self.judge = PersonJudge(outfits=tuple(OUTFITS), widths=widths)

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        images, labels = self.pool.draw(step, generator)
        device = self.judge.head.weight.device
        who = [self.judge.outfits.index(x.outfit) if x.outfit else NOT_ASKED for x in labels]
        true = torch.from_numpy(np.stack([label.joints for label in labels])).float().to(device)
        images = worn_clips(images[:, None], generator)[:, 0].to(device)
        self.judge.train()
        with torch.autocast(device.type, torch.bfloat16):
            outfits, joints, _ = self.judge(images)
        distance = F.smooth_l1_loss(joints, true, beta=WIDE)
        self.log("joints", distance)
        named = F.nll_loss(outfits, torch.tensor(who, device=device), ignore_index=NOT_ASKED, reduction="sum")
        return named / len(labels) + 10 * distance

    def examined(self, seed: int) -> dict[str, float]:
        return examine_people(self.judge, batches=self.test_batches, batch=self.batch, seed=seed)


def examine_people(judge: PersonJudge, *, batches: int, batch: int, seed: int) -> dict[str, float]:
    """On true renders: how often it knows who it is, and joints within a tenth of the body's height, their distance."""
    people, right, errors = People(), [], []
    for number in range(batches):
        made = people.batch(batch, seed, number)
        images = torch.from_numpy(made.images).movedim(-1, 1)
        named = [k for k, label in enumerate(made.labels) if label.outfit]
        right += [who == made.labels[k].outfit for k, who in zip(named, judge.who(images[named]))]
        found = judge.poses(images).points
        true = torch.from_numpy(np.stack([label.joints for label in made.labels])).float() * images.shape[-1]
        errors += [
            pose_error(found[k : k + FRAMES], true[k : k + FRAMES]) for k in range(0, len(true), FRAMES)
        ]
    return {
        "who": float(np.mean(right)),
        "joints_within_a_tenth": float(np.mean([error.pck for error in errors])),
        "joint_distance": float(np.mean([error.distance for error in errors])),
    }
