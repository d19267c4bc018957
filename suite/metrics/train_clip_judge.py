"""Training of the clip judge on true clips of toyworld, worn as generated clips are.

loss = -mean log-probability of the clip's motion
"""

from collections import defaultdict

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from suite.errors import UserError
from suite.metrics.clip_judge import ClipJudge, load_clip_judge
from suite.metrics.judge import load_judge
from suite.metrics.judge_training import SEED, JudgeTraining
from suite.metrics.wear import unsteady_clips, worn_clips
from suite.toyworld.clips import Clips
from suite.toyworld.dataset import real_surfaces
from suite.toyworld.motions import CLIP_MOTIONS
from suite.toyworld.pool import Pool


class TrainClipJudge(JudgeTraining):
    """Trains the classifier of motions that `suite evaluate_motion` asks.

    Args:
        objects: A folder of captioned meshes to see beside toyworld, as `suite prepare_objects` makes.
        init: A clip judge's folder to go on from, or "shipped"; else from nothing.
        steps: Steps of training.
        batch: Clips a step.
        reuse: Steps for which a new batch is rendered once: rendering costs more than learning.
        pool: Rendered batches that are kept to draw from.
        rate: Highest learning rate.
        widths: Channels of the network's levels.
        test_batches: Batches of true clips of yet other seeds for the measures at the end.
        export: A folder for the trained judge beside the run directory's own.
        seed: Where randomness comes from.
    """

    kind = "clip_judge"

    def __init__(
        self,
        *,
        objects: str = "",
        init: str = "",
        steps: int = 6000,
        batch: int = 32,
        reuse: int = 4,
        pool: int = 64,
        rate: float = 2e-3,
        widths: tuple[int, int, int, int] = (24, 48, 96, 128),
        test_batches: int = 32,
        export: str | None = None,
        seed: int = 0,
    ) -> None:
        if min(steps, test_batches) < 1:
            raise ValueError(f"steps and test_batches must be at least 1, got {steps} and {test_batches}.")
        real = real_surfaces(objects) if objects else []
        self.clips = Clips(real=real, split="all", camera=0.4)
        self.pool = Pool(self.clips, batch=batch, reuse=reuse, size=pool, seed=SEED + seed)
        self.steps, self.batch, self.rate, self.test_batches = steps, batch, rate, test_batches
        self.export, self.seed = export, seed
        self.judge = ClipJudge(motions=CLIP_MOTIONS, widths=widths)
        if init:
            older = load_clip_judge() if init == "shipped" else load_clip_judge(init)
            if (older.motions, older.widths) != (self.judge.motions, self.judge.widths):
                raise UserError(
                    f"init={init} tells other motions apart or has other widths: {list(older.widths)} for "
                    f"{len(older.motions)} motions."
                )
            self.judge.load_state_dict(older.state_dict())

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        clips, labels = self.pool.draw(step, generator)
        device = self.judge.head.weight.device
        right = torch.tensor([CLIP_MOTIONS.index(label.motion) for label in labels], device=device)
        clips = worn_clips(unsteady_clips(clips, generator), generator).to(device)
        self.judge.train()
        with torch.autocast(device.type, torch.bfloat16):
            answers = self.judge(clips)
        self.log("named", (answers.argmax(1) == right).float().mean())
        return F.nll_loss(answers, right)

    def examined(self, seed: int) -> dict[str, float]:
        return examine_clips(self.judge, self.clips, batches=self.test_batches, batch=self.batch, seed=seed)


def examine_clips(judge: ClipJudge, clips: Clips, *, batches: int, batch: int, seed: int) -> dict[str, float]:
    """Accuracies on true clips.

    Returns: motion (over all), motion_of_object, motion_of_real, motion_of_person, motion/NAME of each, and
    what the judge of pictures makes of their frames: kind_of_frames and color_of_frames of procedural objects.
    """
    right: dict[str, list[bool]] = defaultdict(list)
    pictures = load_judge()
    for number in range(batches):
        made = clips.batch(batch, seed, number)
        frames = torch.from_numpy(made.frames).movedim(-1, 2)
        for label, named, shown in zip(made.labels, judge.named(frames), frames):
            for name in ("motion", f"motion_of_{label.source}", f"motion/{label.motion}"):
                right[name].append(named == label.motion)
            if label.source == "object":
                verdict = pictures.look(shown)
                right["kind_of_frames"] += [name == label.name for name in verdict.best("name")]
                right["color_of_frames"] += [color == label.color for color in verdict.best("color")]
    return {question: float(np.mean(answers)) for question, answers in sorted(right.items())}
