"""`suite evaluate_animate`: whether a still's person is animated as it truly looks, on pairs never seen in training.

A sample is a still of one of toyworld's named people and a motion that this person never has in training; its truth are
the rendered frames. Beside the animator there are two answers that need no network:

    repeat    the still again and again
    warp      the still warped by its skeleton (`video.skeleton_warp`)

    psnr, ssim    of each frame against the true one          who    frames in which the person judge knows the person
    joints        found by it within a tenth of the body's height of those that were asked for
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from priors.stable_diffusion import StableDiffusionPrior
from suite.errors import UserError
from suite.geometry.skeletons import Poses
from suite.io.images import contact_sheet, to_bytes, write_image
from suite.io.weights import load_state, save_state
from suite.metrics.person_judge import load_person_judge
from suite.metrics.videos import frame_psnr, frame_ssim, pose_error
from suite.progress import Progress
from suite.run import Run
from suite.task import Task
from suite.toyworld.animations import AnimationLabel, Animations
from suite.toyworld.motions import PEOPLE_MOTIONS
from suite.toyworld.outfits import OUTFITS
from video.animate.animate_prior import AnimatePrior
from video.animate.files import load
from video.ground import is_kept, kept_ground, near
from video.pose_pictures import pose_pictures
from video.products import enlarged, evenly
from video.sampling import Sampling
from video.shipped import ANIMATOR
from video.skeleton_warp import warped_by_skeleton

# What the shipped animator is held to.
BARS = {"psnr": 20.0, "ssim": 0.8, "who": 0.9, "joints": 0.9}
Still, Clip = Float[Tensor, "1 3 h w"], Float[Tensor, "f 3 h w"]
SHOWN, COLUMNS = 8, 8  # samples and frames of each on the sheet


@dataclass(kw_only=True)
class EvaluateAnimate(Task):
    """Animates stills of toyworld's people and compares with the true frames.

    Args:
        prior: The image prior that the animator belongs to.
        animator: A folder of `suite train_animate`; "pocket" is the shipped one.
        clips: How many.
        frames: Of each.
        motions: Of toyworld's people; none are all.
        backdrops: How often there is a backdrop behind the person.
        person_judge: Folder of the person judge; empty takes the shipped one.
        steps: Of sampling.
        scale: Classifier-free guidance scale.
        sampler: dpmpp_2m, ddim, euler or heun.
        ground: keep, make or auto: see `suite animate_character`.
        seed: Of samples and noise.
    """

    prior: StableDiffusionPrior
    animator: str = "pocket"
    clips: int = 48
    frames: int = 16
    motions: tuple[str, ...] = ()
    backdrops: float = 0.3
    person_judge: str = ""
    steps: int = 25
    scale: float = 2.0
    sampler: str = "dpmpp_2m"
    ground: str = "auto"
    seed: int = 0

    reruns = True  # the animator may have been trained further

    def __post_init__(self) -> None:
        if self.clips < 1:
            raise UserError(f"clips must be positive, got {self.clips}.")
        self.keep = is_kept(self.ground, shipped=self.animator == "pocket")
        folder = ANIMATOR if self.animator == "pocket" else self.animator
        video = AnimatePrior(self.prior, load(folder, self.prior))
        self.sampling = Sampling(video, sampler=self.sampler, steps=self.steps, scale=self.scale)
        self.sampling.check(self.frames, 8)
        self.judge = load_person_judge(self.person_judge) if self.person_judge else load_person_judge()
        self.names = {outfit: name for name, outfit in OUTFITS.items()}
        self.source = Animations(
            size=self.prior.resolution, frames=self.frames, split="held_out", outfits=tuple(OUTFITS.values()),
            motions=self.motions or PEOPLE_MOTIONS, backdrops=self.backdrops,
        )  # fmt: skip

    def run(self, run: Run) -> None:
        self.sampling.video.to(run.device)
        found: dict[str, list[float]] = defaultdict(list)
        rows, captions = [], []
        with Progress(run, self.clips) as progress:
            for number in range(self.clips):
                still, true, label = self.sample(number)
                own, wanted = label.poses[:1], label.poses[1:]
                answers = {
                    "": self.made(number, still, own, wanted, run),
                    "repeat_": still.expand_as(true),
                    "warp_": warped_by_skeleton(still, own, wanted),
                    "true_": true,
                }
                for who, frames in answers.items():
                    for name, values in self.judged(frames, true, label, wanted).items():
                        found[who + name] += values
                if number in evenly(self.clips, SHOWN):
                    for said, frames in (
                        (label.caption, answers[""]),
                        ("true", true),
                        ("warp", answers["warp_"]),
                    ):
                        rows += [still, frames[evenly(len(frames), COLUMNS)]]
                        captions += [said, *[""] * len(rows[-1])]
                progress.update(number, {"psnr": float(np.mean(found["psnr"]))})
        sheet = contact_sheet(enlarged(torch.cat(rows)), 1 + len(rows[1]), captions)
        write_image(run.path("images", "made_true_warped.png"), sheet)
        measures = {name: float(np.mean(values)) for name, values in found.items() if values}
        for name, bar in BARS.items():
            run.log.info(
                "%-7s %.3f (bar %.2f)   repeat %.3f   warp %.3f",
                name, measures[name], bar, measures[f"repeat_{name}"], measures[f"warp_{name}"],
            )  # fmt: skip
        run.statistics["evaluations"] = self.sampling.video.evaluations
        run.write_report(measures)
        for file in (run.directory / "clips").glob("*.safetensors"):  # run again, they are drawn anew
            file.unlink()

    def sample(self, number: int) -> tuple[Still, Clip, AnimationLabel]:
        """Still, true frames, and what is known of them."""
        batch = self.source.batch(1, self.seed, number)
        frames = torch.from_numpy(batch.frames[0]).movedim(-1, 1).float()
        return frames[:1], frames[1:], batch.labels[0]

    def made(self, number: int, still: Still, own: Poses, wanted: Poses, run: Run) -> Clip:
        """The still animated; finished clips are taken from the run directory."""
        path = run.path("clips", f"{number:04d}.safetensors")
        if not path.exists():
            make, grid, size = self.sampling, self.sampling.grid(), still.shape[-2:]
            condition = make.video.embed(still, pose_pictures(wanted, *size)[None])
            noise = make.noise(self.frames, *size, seed=self.seed + number)
            known = kept_ground(make, still, near(own, *size), wanted, noise) if self.keep else None
            latents = make.path(make.start(grid, noise), condition, grid=grid, known=known)
            frames = make.decode(latents, torch.empty(self.frames, 3, *size))
            save_state(path, {"frames": torch.from_numpy(to_bytes(frames))})
        return load_state(path)["frames"].movedim(-1, 1).float() / 255

    def judged(
        self, frames: Clip, true: Clip, label: AnimationLabel, wanted: Poses
    ) -> dict[str, list[float]]:
        """Measures of one clip: one value a frame, joints one a clip."""
        name = self.names[label.outfit]
        error = pose_error(
            self.judge.poses(frames).points, wanted.points, wanted_confidence=wanted.confidence
        )
        same = frames is true
        return {
            "psnr": [] if same else frame_psnr(frames, true).clamp(max=100).tolist(),
            "ssim": [] if same else frame_ssim(frames, true).tolist(),
            "who": [float(who == name) for who in self.judge.who(frames)],
            "joints": [error.pck],
        }
