"""Training of the judge on true renders of toyworld, worn as sampled and distilled pictures are.

    loss = -sum over questions of the mean log-probability of the right answer, where the question has one

Colour and pattern are asked of procedural objects only; the view of things with a front, and of others only
whether it is overhead: -log(1 - p(overhead)). Pictures come from seeds of their own, the held-out
compositions among them.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from suite.errors import UserError
from suite.metrics.examine import examine
from suite.metrics.judge import PERSON, Judge, Verdict, World, load_judge
from suite.metrics.judge_training import NOT_ASKED, SEED, JudgeTraining
from suite.metrics.wear import worn
from suite.toyworld.captions import VIEWS
from suite.toyworld.dataset import Label, Scenes, real_surfaces
from suite.toyworld.objects import kinds
from suite.toyworld.paints import COLORS, PATTERNS
from suite.toyworld.pool import Pool

VIEWS_EACH = 4  # pictures of each thing
NOT_OVERHEAD = -2
OVERHEAD = VIEWS.index("overhead view")


class TrainJudge(JudgeTraining):
    """Trains the classifier that the reports use.

    Args:
        objects: A folder of captioned meshes to know beside toyworld, as `suite prepare_objects` makes.
        init: A judge's folder to go on from, its answers matched by name, or "shipped"; else from nothing.
        shares: How often a picture shows a procedural object, a real object, a person, and a thing in motion.
        even_views: How often the camera stands where one of the four view words, each as often, is true (`Scenes`).
        steps: Steps of training.
        batch: Pictures a step.
        reuse: Steps for which a new batch is rendered once: rendering costs as much as learning.
        pool: Rendered batches that are kept to draw from.
        rate: Highest learning rate.
        widths: Channels of the network's levels.
        smoothing: Label smoothing of the names.
        test_batches: Batches of true renders of yet other seeds for the measures at the end.
        export: A folder for the trained judge beside the run directory's own.
        seed: Where randomness comes from.
    """

    kind = "judge"

    def __init__(
        self,
        *,
        objects: str = "",
        init: str = "",
        shares: tuple[float, float, float, float] = (0.45, 0.43, 0.06, 0.06),
        even_views: float = 0.5,
        steps: int = 10000,
        batch: int = 128,
        reuse: int = 2,
        pool: int = 128,
        rate: float = 2e-3,
        widths: tuple[int, ...] = (32, 64, 128, 256),
        smoothing: float = 0.02,
        test_batches: int = 64,
        export: str | None = None,
        seed: int = 0,
    ) -> None:
        if min(steps, test_batches) < 1:
            raise ValueError(f"steps and test_batches must be at least 1, got {steps} and {test_batches}.")
        if batch % VIEWS_EACH:
            raise ValueError(f"batch={batch} must be a multiple of {VIEWS_EACH}, the views of each thing.")
        real = real_surfaces(objects) if objects else []
        self.scenes = Scenes(real=real, shares=shares, split="all", views=VIEWS_EACH, even_views=even_views)
        self.pool = Pool(self.scenes, batch=batch, reuse=reuse, size=pool, seed=SEED + seed)
        self.steps, self.rate, self.smoothing = steps, rate, smoothing
        self.test_batches, self.export, self.seed = test_batches, export, seed
        self.judge = Judge(world=world_of(self.scenes), widths=widths)
        if init:
            take_over(self.judge, load_judge() if init == "shipped" else load_judge(init))

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        images, labels = self.pool.draw(step, generator)
        targets = targets_of(labels, self.judge.world)
        device = self.judge.stem.weight.device
        images = worn(images, generator).to(device)
        self.judge.train()
        with torch.autocast(device.type, torch.bfloat16):
            verdict = self.judge(images)
        targets = {head: target.to(device) for head, target in targets.items()}
        losses = answer_losses(verdict, targets, self.smoothing)
        right = verdict.name.argmax(1) == targets["name"]
        self.log("named", right.float().mean())
        return sum(losses.values())

    def examined(self, seed: int) -> dict[str, float]:
        return examine(self.judge, self.scenes, batches=self.test_batches, seed=seed)


def world_of(scenes: Scenes) -> World:
    """What a judge of these scenes tells apart."""
    fronts = [name for name, kind in kinds().items() if kind.front]
    fronts += sorted(thing.name for thing in scenes.real if thing.front)
    real = tuple(sorted(thing.name for thing in scenes.real))
    return World(tuple(kinds()), (*fronts, PERSON), real, tuple(COLORS), PATTERNS, VIEWS)


@torch.no_grad()
def take_over(judge: Judge, older: Judge) -> None:
    """Gives a judge the weights of another one of the same widths, and of its answers those that both know.

    Raises:
        UserError: Their widths differ.
    """
    if judge.widths != older.widths:
        raise UserError(f"init has the widths {list(older.widths)}: type widths={list(older.widths)}.")
    body = {name: x for name, x in older.state_dict().items() if not name.startswith("heads.")}
    judge.load_state_dict(body, strict=False)
    for head, answers in judge.world.heads.items():
        before = older.world.heads[head]
        known = [(i, before.index(answer)) for i, answer in enumerate(answers) if answer in before]
        here, there = (list(places) for places in zip(*known))
        for ours, theirs in zip(judge.heads[head].parameters(), older.heads[head].parameters()):
            ours[here] = theirs[there]


def targets_of(labels: Sequence[Label], world: World) -> dict[str, Int[Tensor, " b"]]:
    """The right answer to each question as a number, or NOT_ASKED, or (views) NOT_OVERHEAD."""
    heads = {head: {answer: i for i, answer in enumerate(answers)} for head, answers in world.heads.items()}

    def view(label: Label) -> int:
        if not label.view or label.front:
            return heads["view"].get(label.view, NOT_ASKED)
        return OVERHEAD if label.view == VIEWS[OVERHEAD] else NOT_OVERHEAD

    return {
        "name": torch.tensor([heads["name"][label.name] for label in labels]),
        "color": torch.tensor([heads["color"].get(label.color, NOT_ASKED) for label in labels]),
        "pattern": torch.tensor([heads["pattern"].get(label.pattern, NOT_ASKED) for label in labels]),
        "view": torch.tensor([view(label) for label in labels]),
    }


def answer_losses(
    verdict: Verdict, targets: dict[str, Int[Tensor, " b"]], smoothing: float = 0.0
) -> dict[str, Float[Tensor, ""]]:
    """The mean negative log-probability of the right answers to each question, over the whole batch."""
    count = len(verdict)
    losses = {
        head: F.nll_loss(
            getattr(verdict, head), targets[head].clamp(min=-1), ignore_index=-1, reduction="sum"
        )
        / count
        for head in ("name", "color", "pattern", "view")
    }
    losses["name"] = (1 - smoothing) * losses["name"] - smoothing * verdict.name.mean()
    overhead = verdict.view[:, OVERHEAD].clamp(max=-1e-4)
    not_overhead = torch.log(-torch.expm1(overhead)) * (targets["view"] == NOT_OVERHEAD)
    losses["view"] = losses["view"] - not_overhead.sum() / count
    return losses
