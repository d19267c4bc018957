"""`suite evaluate_novel_view`: how close a view-conditioned prior comes to the true view, beside two baselines.

    copy       the given picture as it is
    nearest    the training object whose render from the picture's camera is nearest to it, shown from the wanted camera
               under the true light

and, where sampling begins with noise and the prior has a volume of the picture, that volume's own views (volume): a
regression, which blurs what it is unsure of.

Things are procedural and were not in the training of `suite train_novel_view`: held-out compositions of the kinds it
learnt (held_out), and kinds that it never saw (held_out_kinds). Every view has noise of its own, drawn from its number.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from priors.base import Prior
from priors.train.train_novel_view import pictures_of, sample_views
from priors.view_questions import Question, nearest_views, questions, resized
from priors.zero123 import Zero123Prior
from suite.diffusion.samplers import starting_noise
from suite.errors import UserError
from suite.io.images import contact_sheet, write_image
from suite.metrics.images import psnr, ssim
from suite.progress import Progress
from suite.rng import generator
from suite.run import Run
from suite.task import Task
from suite.toyworld.objects import build
from suite.toyworld.view_pairs import SPLITS, cameras_of, seen_from
from suite.types import Images

BARS = {"psnr": 18.0, "ssim": 0.80}  # what pocket-zero123 is held to, on held_out and on held_out_kinds
BESIDE = ("copy", "nearest", "volume")


class EvaluateNovelView(Task):
    """Shows a prior one picture of each thing and compares its views from elsewhere with the true ones.

    Args:
        prior: A view-conditioned prior, as Zero123.
        things: Things of each split.
        views: Wanted views of each thing, from random cameras.
        splits: Which things: held_out, held_out_kinds; train for those it learnt from.
        steps: Sampling steps.
        scale: Classifier-free guidance scale.
        start: The time at which sampling begins: 1 is noise; less, for a prior that can tell, begins with what it
            expects to see, and 0 is that; null is what suits the prior.
        batch: Views at once.
        size: Side of the pictures that are compared, in pixels.
        seed: Of things, cameras, lights and noise.
    """

    reruns = True  # the prior may have been trained further

    def __init__(
        self,
        *,
        prior: Prior,
        things: int = 32,
        views: int = 4,
        splits: Sequence[str] = ("held_out", "held_out_kinds"),
        steps: int = 25,
        scale: float = 2.0,
        start: float | None = None,
        batch: int = 32,
        size: int = 64,
        seed: int = 0,
    ) -> None:
        if min(things, views, steps, batch) < 1 or not splits:
            raise UserError("things, views, steps and batch must be positive, and there must be a split.")
        if unknown := [split for split in splits if split not in SPLITS]:
            raise UserError(f"splits has {unknown[0]!r}; they are: {', '.join(SPLITS)}.")
        if not isinstance(prior, Zero123Prior):
            raise UserError(f"{type(prior).__name__} knows no views of a picture. Type prior=pocket_zero123.")
        self.prior, self.things, self.views, self.splits = prior, things, views, tuple(splits)
        self.steps, self.scale, self.batch, self.size, self.seed = steps, scale, batch, size, seed
        self.start = prior.start if start is None else start

    def run(self, run: Run) -> None:
        self.prior.to(run.device)
        asked = [q for split in self.splits for q in questions(split, self.things, self.views, self.seed)]
        views = [self.true_views(question) for question in asked]
        given = torch.stack([images[0] for images in views])
        truth = torch.stack([images[1:] for images in views])  # n v 3 h w
        made = {
            "prior": self.sample(asked, given, run),
            "copy": given[:, None].expand_as(truth),
            "nearest": nearest_views(asked, given, self.size),
        }
        if self.prior.volume and self.start > 0:  # else they are what the prior shows
            made["volume"] = self.volume_views(asked, given)
        measures = self.measures(asked, truth, made)
        for line in table(measures, self.splits):
            run.log.info(line)
        write_image(run.path("images", "views.png"), sheet(asked, given, truth, made))
        run.statistics["evaluations"] = self.prior.evaluations
        run.write_report(measures | {"views_each_split": self.things * self.views})

    def true_views(self, question: Question) -> Images:
        """The given view, then the wanted ones."""
        images = seen_from(build(question.spec), question.viewpoints, question.light, size=self.size)
        return pictures_of(images)

    def sample(self, asked: Sequence[Question], given: Images, run: Run) -> Float[Tensor, "n v 3 h w"]:
        """What the prior shows from every wanted camera."""
        cameras = cameras_of([question.viewpoints for question in asked], self.size)
        total, v = len(asked) * self.views, self.views
        chunks = [torch.arange(i, min(i + self.batch, total)) for i in range(0, total, self.batch)]
        done = []
        with Progress(run, len(chunks)) as progress:
            for number, chunk in enumerate(chunks):
                thing, view = chunk // v, 1 + chunk % v
                noise = torch.cat([self.noise(i) for i in chunk.tolist()])
                places = thing * (v + 1)
                device = self.prior.device
                images = sample_views(
                    self.prior, given[thing].to(device), cameras[places].to(device),
                    cameras[places + view].to(device), noise, steps=self.steps, scale=self.scale,
                    start=self.start,
                ).cpu()  # fmt: skip
                done.append(resized(images, self.size))
                progress.update(number, {"views": int(chunk[-1]) + 1})
        return torch.cat(done).unflatten(0, (len(asked), v))

    def volume_views(self, asked: Sequence[Question], given: Images) -> Float[Tensor, "n v 3 h w"]:
        """What the prior's volumes look like from every wanted camera."""
        done = []
        for question, image in zip(asked, given):
            cameras = cameras_of([question.viewpoints], self.size)
            _, volume = self.prior.look(image[None], cameras[:1])
            volumes = volume.expand(self.views, *volume.shape[1:])
            done.append(resized(self.prior.seen(volumes, cameras[:1], cameras[1:]).cpu(), self.size))
        return torch.stack(done)

    def noise(self, number: int) -> Float[Tensor, "1 c y x"]:
        """Of a view's own, whatever the batch size."""
        return starting_noise(self.prior, 1, generator(self.seed, number, "view", self.prior.device))

    def measures(
        self,
        asked: Sequence[Question],
        truth: Float[Tensor, "n v 3 h w"],
        made: Mapping[str, Float[Tensor, "n v 3 h w"]],
    ) -> dict[str, float]:
        """Means over the views of each split: psnr_SPLIT, ssim_SPLIT of the prior, then psnr_SPLIT_copy and so on."""
        found = {}
        for split in self.splits:
            which = torch.tensor([question.split == split for question in asked])
            right = truth[which].flatten(0, 1)
            for name, of_all in made.items():
                views, suffix = of_all[which].flatten(0, 1), "" if name == "prior" else f"_{name}"
                # an infinite PSNR of one equal view would hide all the others
                found[f"psnr_{split}{suffix}"] = float(psnr(views, right).clamp(max=60).mean())
                found[f"ssim_{split}{suffix}"] = float(ssim(views, right).mean())
        return found


def table(measures: Mapping[str, float], splits: Sequence[str]) -> list[str]:
    """Lines with PSNR and SSIM of the prior, of what stands beside it, and whether the bars are reached."""
    lines = []
    for split in splits:
        for measure, bar in BARS.items():
            name = f"{measure}_{split}"
            others = [
                f"{other} {measures[f'{name}_{other}']:>7.3f}"
                for other in BESIDE
                if f"{name}_{other}" in measures
            ]
            verdict = (
                "" if split == "train" else f"bar {bar:g}  {'pass' if measures[name] >= bar else 'FAIL'}"
            )
            lines.append(
                "  ".join([f"{measure} {split:<15}{measures[name]:>7.3f}", *others, verdict]).rstrip()
            )
    return lines


def sheet(
    asked: Sequence[Question],
    given: Images,
    truth: Float[Tensor, "n v 3 h w"],
    made: Mapping[str, Float[Tensor, "n v 3 h w"]],
    rows: int = 24,
) -> Float[Tensor, "3 H W"]:
    """Given, made, true and what stands beside, one wanted view each of things evenly out of all."""
    chosen = np.linspace(0, len(asked) - 1, min(rows, len(asked))).round().astype(int)
    shown = {"made": made["prior"], "true": truth} | {n: made[n] for n in ("volume", "nearest") if n in made}
    tiles, labels = [], []
    for i in chosen:
        tiles += [given[i], *(views[i, 0] for views in shown.values())]
        labels += [asked[i].spec.prompt, *shown]
    return contact_sheet(torch.stack(tiles), columns=2 * (1 + len(shown)), labels=labels)
