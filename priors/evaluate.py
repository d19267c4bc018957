"""`suite evaluate_prior`: what a prior shows when it is asked, as an independent judge names it.

Every picture has noise of its own, drawn from (seed, number), so the samples do not depend on the batch size.
"""

import math
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from priors.base import Prior
from priors.known_words import KnownWords
from priors.prompts import ViewPrompts
from priors.trials import Trial, trials, true_picture
from priors.view_prior import check_told_words
from suite.diffusion.samplers import SAMPLERS, ddim, starting_noise
from suite.errors import UserError
from suite.io.images import contact_sheet, to_bytes, write_image
from suite.io.weights import load_state, save_state
from suite.metrics.judge import Verdict, load_judge
from suite.metrics.text import Claim, claim_of
from suite.progress import Progress
from suite.rng import generator
from suite.run import Run
from suite.task import Task
from suite.toyworld.captions import VIEWS
from suite.toyworld.dataset import real_surfaces
from suite.types import Images

# What the pocket prior is held to; the others are for information.
BARS = {"kind": 0.95, "color": 0.95, "view": 0.85, "held_out": 0.85, "real": 0.85}
MEANING = {
    "kind": "the kind of object is right, among all names",
    "color": "its colour is right",
    "view": "the view word is right, kinds that have a front",
    "held_out": "kind, colour and pattern right, compositions never seen in training",
    "real": "the right real object, among all names",
    "pattern": "its pattern is right",
    "kind_among_kinds": "the kind of object is right, among kinds",
    "real_among_real": "the right real object, among real objects",
    "person": "a person is seen as one",
}


class EvaluatePrior(Task):
    """Samples a prior and measures whether it shows what it was asked for.

    Args:
        prior: The prior, trained on toyworld.
        samples: Number of pictures.
        steps: Sampling steps.
        scale: Classifier-free guidance scale.
        sampler: How to sample: ddpm is ancestral (DDIM with eta = 1), whose fresh noise lets later steps mend what
            earlier ones got wrong; the others follow the ODE.
        perp_neg: Perp-Neg's weight against the same prompt without its view word, for one more evaluation in a step of
            a batch that says any; 0 leaves it out.
        batch: Pictures at once.
        objects: A folder of the real objects, to show them beside the samples; not needed for the measures.
        judge: Folder of the judge; empty takes the shipped one.
        seed: Of prompts and noise.
    """

    reruns = True  # the prior may have been trained further

    def __init__(
        self,
        *,
        prior: Prior,
        samples: int = 1000,
        steps: int = 25,
        scale: float = 4.0,
        sampler: Literal["ddpm", "ddim", "dpmpp_2m", "euler", "heun"] = "ddpm",
        perp_neg: float = 0.25,
        batch: int = 50,
        objects: str = "",
        judge: str = "",
        seed: int = 0,
    ) -> None:
        if min(samples, steps, batch) < 1:
            raise UserError("samples, steps and batch must be positive.")
        if not 0 <= perp_neg < math.inf:
            raise UserError(f"perp_neg={perp_neg} must not be negative; 0 leaves Perp-Neg out.")
        check_told_words(prior)
        self.prior, self.samples, self.steps, self.scale, self.seed = prior, samples, steps, scale, seed
        self.sampler, self.perp_neg, self.batch = sampler, perp_neg, batch
        self.judge = load_judge(judge) if judge else load_judge()
        self.surfaces = {thing.name: thing.surface for thing in real_surfaces(objects)} if objects else {}

    def run(self, run: Run) -> None:
        self.prior.to(run.device)
        self.judge.to(run.device)
        asked = trials(self.samples, self.known_objects(), np.random.default_rng([self.seed, 0]))
        images = self.sample(asked, run)
        claims = [claim_of(trial.prompt, self.judge.world) for trial in asked]
        shares, counts = shares_right(self.judge.look(images), asked, claims)
        for line in table(shares, counts):
            run.log.info(line)
        self.show(asked, images, run)
        run.statistics["evaluations"] = self.prior.evaluations
        run.write_report(shares | {f"{name}_samples": count for name, count in counts.items()})
        shutil.rmtree(run.directory / "samples")  # run again, they are drawn anew: the prior may have learnt

    def known_objects(self) -> list[str]:
        """Captions of the real objects that both the prior and the judge know."""
        words = getattr(self.prior, "known_words", None)
        return [name for name in self.judge.world.real if words is None or _knows(words, name)]

    def sample(self, asked: Sequence[Trial], run: Run) -> Images:
        """A picture for every trial. Finished batches stay in the run directory and are taken from there."""
        chunks = [range(i, min(i + self.batch, len(asked))) for i in range(0, len(asked), self.batch)]
        done: list[Tensor] = []
        with Progress(run, len(chunks)) as progress:
            for number, chunk in enumerate(chunks):
                path = run.path("samples", f"{number:04d}.safetensors")
                if not path.exists():
                    pictures = to_bytes(self.pictures([asked[i].prompt for i in chunk], chunk))
                    save_state(path, {"pictures": torch.from_numpy(pictures)})
                done.append(load_state(path)["pictures"])
                progress.update(number, {"pictures": chunk.stop})
        return torch.cat(done).movedim(-1, 1).float() / 255

    @torch.no_grad()
    def pictures(self, prompts: Sequence[str], numbers: Sequence[int]) -> Images:
        """One batch of samples, each from the noise of its number."""
        draws = [generator(self.seed, number, "evaluate", self.prior.device) for number in numbers]
        noise = torch.cat([starting_noise(self.prior, 1, own) for own in draws])
        asked = (self.prior, noise, self.prior.embed(ViewPrompts.insisting(prompts, self.perp_neg)))
        if self.sampler == "ddpm":
            latents = ddim(*asked, steps=self.steps, scale=self.scale, eta=1.0, generator=draws)
        else:
            latents = SAMPLERS[self.sampler](*asked, steps=self.steps, scale=self.scale)
        return self.prior.decode(latents).float().cpu()

    def show(self, asked: Sequence[Trial], images: Images, run: Run, pairs: int = 48) -> None:
        """Samples with the true render of what was asked at their right, evenly out of all."""
        chosen = np.linspace(0, len(asked) - 1, min(pairs, len(asked))).round().astype(int)
        tiles, labels = [], []
        for i in chosen:
            true = true_picture(asked[i], self.surfaces, images.shape[-1])
            tiles += [images[i], true]
            labels += [asked[i].prompt, "true render"]
        large = torch.nn.functional.interpolate(
            torch.stack(tiles), scale_factor=max(1, 128 // images.shape[-1])
        )
        write_image(
            run.path("images", "samples_and_truth.png"), contact_sheet(large, columns=12, labels=labels)
        )


def shares_right(
    verdict: Verdict, asked: Sequence[Trial], claims: Sequence[Claim]
) -> tuple[dict[str, float], dict[str, int]]:
    """(share of right pictures, number of pictures asked) for each measure of MEANING and each view word."""
    world = verdict.world
    best = {head: verdict.best(head) for head in world.heads}
    kinds, real = (
        verdict.best("name", world.kinds),
        verdict.best("name", world.real) if world.real else best["name"],
    )
    answers: dict[str, list[bool]] = defaultdict(list)
    for k, (trial, claim) in enumerate(zip(asked, claims)):
        heads = [head for head in ("name", "color", "pattern") if getattr(claim, head) is not None]
        right = {head: best[head][k] == getattr(claim, head) for head in heads}
        right["name"] = world.is_a(best["name"][k], claim.name)
        if trial.group in ("real", "person"):
            answers[trial.group].append(right["name"])
        if trial.group == "real":
            answers["real_among_real"].append(real[k] == claim.name)
        if trial.group == "held_out":
            answers["held_out"].append(all(right.values()))
        if trial.group == "seen":
            answers["kind"].append(right["name"])
            answers["kind_among_kinds"].append(kinds[k] == claim.name)
            answers["color"].append(right["color"])
            answers["pattern"].append(right["pattern"])
            if claim.view:
                for name in ("view", claim.view.replace(" ", "_")):
                    answers[name].append(best["view"][k] == claim.view)
    order = [*MEANING, *(view.replace(" ", "_") for view in VIEWS)]
    found = {name: answers[name] for name in order if name in answers}
    return {n: float(np.mean(a)) for n, a in found.items()}, {n: len(a) for n, a in found.items()}


def table(shares: Mapping[str, float], counts: Mapping[str, int]) -> list[str]:
    """Lines with each measure, its bar where it has one, and whether it is reached."""
    lines = []
    for name, share in shares.items():
        bar = BARS.get(name)
        verdict = "" if bar is None else f"bar {bar:.0%}  {'pass' if share >= bar else 'FAIL'}"
        lines.append(
            f"{name:<17}{share:>7.1%} of {counts[name]:<4}  {verdict:<14}  {MEANING.get(name, '')}".rstrip()
        )
    missing = [name for name in BARS if name not in shares]
    return lines + [
        f"{name:<17}not measured: the prior knows none of the judge's real objects" for name in missing
    ]


def _knows(words: KnownWords, caption: str) -> bool:
    try:
        words.refuse_unknown(caption)
    except UserError:
        return False
    return True
