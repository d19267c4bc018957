"""`suite evaluate_motion`: whether clips show what they are asked for, as independent judges see it.

Asked for are things of toyworld, named in full, in motions that they never had in training
(`motions.held_out_motion`); beside each made clip there is the true one of the same words.

    named     frames whose kind (and colour, of procedural objects) is right, as the judge of pictures says
    whole     clips whose kind (and colour) is right by what that judge says of all frames together: single ones that
              are small, cut off or upside down cannot be told, not even true ones
    motion    clips whose motion is right, as the clip judge says: the likeliest of those whose words the prior knows,
              since what falls and what a camera sees that tilts up may look the same
    flicker   mean change between frames, relative to that of the true clips
    psnr      where the true clip's first frame is given (way=): frames after it against the true ones, in dB;
              repeated: that of the first frame in their place
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from suite.errors import UserError
from suite.io.images import contact_sheet, to_bytes, write_image
from suite.io.weights import load_state, save_state
from suite.metrics.clip_judge import load_clip_judge
from suite.metrics.images import psnr
from suite.metrics.judge import OF_FRAMES, load_judge
from suite.metrics.videos import flicker
from suite.progress import Progress
from suite.run import Run
from suite.toyworld.clips import ClipLabel, Clips
from suite.toyworld.dataset import real_surfaces
from suite.types import Images
from video.clip_task import ClipTask
from video.first_frame import FirstFrame, chosen_way
from video.generation import Generation
from video.motion.sources import known_motions
from video.products import enlarged, evenly
from video.prompts import Travel
from video.shipped import LORAS, loras_in

# What the shipped motion modules are held to; flicker is at most its bar.
BARS = {"named": 0.9, "whole": 0.9, "motion": 0.7, "flicker": 1.5}
BAR_WITH_LORAS = 0.9  # of motions, where each clip has the MotionLoRA of its own
SHOWN, COLUMNS = 12, 8  # clips and frames of each on the sheet


@dataclass(kw_only=True)
class EvaluateMotion(ClipTask):
    """Samples clips and measures whether they show what was asked. Options beside those of `ClipTask`:

    Args:
        prompt: Nothing: the clips' own captions are asked for.
        clips: How many.
        motions: Of toyworld; none are all whose words the prior knows.
        objects: A folder of captioned meshes to ask for too, as `suite prepare_objects` makes.
        judge: Folder of the judge of pictures; empty takes the shipped one for frames of clips.
        clip_judge: Folder of the clip judge; empty takes the shipped one.
        way: Give the true clip's first frame beside its words, and begin from it as `suite image_to_video` does: auto,
            replace, noise or concat. Empty gives the words alone.
        strength: Of noise that the frames begin with then; null is the way's own.
        motion_loras: A folder of MotionLoRAs that are named after their motions, as raising_both_arms.safetensors: a
            clip of a motion that has one is made with it. "pocket" are the shipped ones.
    """

    prompt: str = ""
    clips: int = 64
    motions: tuple[str, ...] = ()
    objects: str = ""
    judge: str = ""
    clip_judge: str = ""
    way: str = ""
    strength: float | None = None
    motion_loras: str = ""

    reruns = True  # the prior or the modules may have been trained further

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompt:
            raise UserError(
                "evaluate_motion asks for what it can judge: leave out prompt=, or choose motions=."
            )
        if self.clips < 1:
            raise UserError(f"clips must be positive, got {self.clips}.")
        self.generation.check(self.frames, self.fps, *self.size)
        self.first = FirstFrame(chosen_way(self.way, self.motion), self.strength) if self.way else None
        self.grid = self.first.grid(self.generation) if self.first else self.generation.grid()
        self.pictures = load_judge(self.judge or OF_FRAMES)
        self.movements = load_clip_judge(self.clip_judge) if self.clip_judge else load_clip_judge()
        self.motions_known = known_motions(self.prior)
        self.of_motion = self.generations_with_loras()
        self.source = Clips(
            real=real_surfaces(self.objects) if self.objects else [], size=self.prior.resolution,
            frames=self.frames, split="held_out", motions=known_motions(self.prior, self.motions),
            view_words=0.0, full_names=True,
        )  # fmt: skip

    def run(self, run: Run) -> None:
        for generation in (self.generation, *self.of_motion.values()):
            generation.video.to(run.device)
        found: dict[str, list[float]] = defaultdict(list)
        rows, captions = [], []
        with Progress(run, self.clips) as progress:
            for number in range(self.clips):
                true, label = self.true_clip(number)
                made = self.made_clip(number, label, true, run)
                if self.first:
                    repeated = true[:1].expand_as(true[1:])
                    for name, frames in (
                        ("psnr", made[1:]),
                        ("repeated", repeated),
                    ):  # equal frames would hide others
                        found[name].append(float(psnr(frames, true[1:]).clamp(max=60).mean()))
                for who, frames in (("", made), ("true_", true)):
                    for name, values in self.judged(frames, label).items():
                        found[who + name] += values
                if number in evenly(self.clips, SHOWN):
                    for said, frames in ((label.caption, made), ("true", true)):
                        rows.append(frames[evenly(len(frames), COLUMNS)])
                        captions += [said, *[""] * (len(rows[-1]) - 1)]
                progress.update(number, {"motion": float(np.mean(found["motion"]))})
        sheet = contact_sheet(enlarged(torch.cat(rows)), len(rows[0]), captions)
        write_image(run.path("images", "made_and_true.png"), sheet)
        measures = {name: float(np.mean(values)) for name, values in found.items()}
        measures["flicker"] = measures["flicker"] / max(measures.pop("true_flicker"), 1e-9)
        bars = BARS | ({"motion": BAR_WITH_LORAS} if self.of_motion else {})
        for name, bar in bars.items():
            true = measures.get(f"true_{name}", 1.0)
            run.log.info("%-8s %.3f (bar %.2f; true clips %.3f)", name, measures[name], bar, true)
        run.statistics["evaluations"] = self.generation.video.evaluations
        run.write_report(measures)
        for file in (run.directory / "clips").glob("*.safetensors"):  # run again, they are drawn anew
            file.unlink()

    def generations_with_loras(self) -> dict[str, Generation]:
        """Motion -> how its clips are sampled, where there is a MotionLoRA of it.

        Raises:
            UserError: The folder has none of a motion that can be asked for.
        """
        if not self.motion_loras:
            return {}
        folder = LORAS if self.motion_loras == "pocket" else Path(self.motion_loras).expanduser()
        files = {m: path for m, path in loras_in(folder).items() if m in self.motions_known}
        if not files:
            raise UserError(
                f"{folder} has no MotionLoRA that is named after a motion, as raising_both_arms.safetensors."
            )
        return {m: self.generation_with((self.loras or {}) | {str(path): 1.0}) for m, path in files.items()}

    def true_clip(self, number: int) -> tuple[Images, ClipLabel]:
        """The frames of a clip of toyworld, and what is known of it."""
        batch = self.source.batch(1, self.seed, number)
        return torch.from_numpy(batch.frames[0]).movedim(-1, 1).float(), batch.labels[0]

    def made_clip(self, number: int, label: ClipLabel, true: Images, run: Run) -> Images:
        """The frames that are made of a clip's words; finished clips are taken from the run directory."""
        path = run.path("clips", f"{number:04d}.safetensors")
        if not path.exists():
            save_state(path, {"frames": torch.from_numpy(to_bytes(self.sampled(number, label, true)))})
        return load_state(path)["frames"].movedim(-1, 1).float() / 255

    def sampled(self, number: int, label: ClipLabel, true: Images) -> Images:
        """A clip, from noise of its own, and from the true clip's first frame where that is given."""
        make, known = self.of_motion.get(label.motion, self.generation), None
        x = make.noise(self.frames, *self.size, seed=self.seed + number)
        condition = make.video.embed(Travel.of(label.caption, self.frames, self.negative).prompts())
        if self.first:
            x, condition, known = self.first.begin(make, true[:1], x, condition)
        latents = make.path(x, condition, grid=self.grid, known=known)
        return make.decode(latents, torch.empty(self.frames, 3, *self.size))

    def judged(self, frames: Images, label: ClipLabel) -> dict[str, list[float]]:
        """What the judges say, 1 for right: one value a frame, or one a clip."""
        verdict, world = self.pictures.look(frames), self.pictures.world
        name = "person" if label.source == "person" else label.name
        right = [world.is_a(best, name) for best in verdict.best("name")]
        whole = world.is_a(verdict.best_of_all("name"), name)
        if label.color:
            right = [r and color == label.color for r, color in zip(right, verdict.best("color"))]
            whole = whole and verdict.best_of_all("color") == label.color
        motion = float(self.movements.named(frames[None], among=self.motions_known)[0] == label.motion)
        return {
            "named": [float(r) for r in right],
            "whole": [float(whole)],
            "motion": [motion],
            f"motion/{label.motion}": [motion],
            "flicker": [float(flicker(frames).mean())],
        }
