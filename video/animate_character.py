"""`suite animate_character`: the person of a still in the poses of a motion (Animate Anyone, arXiv:2311.17117).

motion -> poses over the still -> pictures of poses -> denoiser with the still's features -> frames

    kind       the motion is                                          its poses
    skeleton   COCO or OpenPose .json, .bvh, an animated .glb, .yaml  read, and laid over the still
    drawn      a video of OpenPose's coloured skeletons on black      taken as they are
    driving    a video of a person                                    found by `detector`, and laid over the still
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from priors.stable_diffusion import StableDiffusionPrior
from suite.errors import UserError
from suite.geometry.skeletons import Poses
from suite.io.images import contact_sheet, write_image
from suite.io.poses import READABLE, read_poses, write_poses
from suite.io.videos import VideoFile, shown_at, write_video
from suite.metrics.videos import pose_error
from suite.run import Run
from suite.task import Task
from suite.types import Images
from video.animate.animate_prior import AnimatePrior
from video.animate.files import load
from video.driving import at_rate, flat, laid_over, points_fitted
from video.framing import FITS, fitted, read_still
from video.ground import is_kept, kept_ground, near, near_object
from video.pose_detection import PoseDetector
from video.pose_pictures import pose_pictures
from video.products import STAND_INS, clear, enlarged, evenly, frame_store, measured, write_clip
from video.sampling import AT_ONCE, Sampling
from video.shipped import ANIMATOR
from video.windows import Windows

KINDS = ("auto", "skeleton", "drawn", "driving")
DARK = 0.08  # the median brightness of drawn skeletons on black is below


@dataclass(kw_only=True)
class AnimateCharacter(Task):
    """Moves the person of a still as a motion says.

    Args:
        prior: The image prior that the animator belongs to.
        image: The still: any image file.
        pose: The motion: a file or folder of poses, or a video.
        animator: A folder of `suite train_animate`, or one with Moore-AnimateAnyone's .pth files; "pocket" is the
            shipped one.
        kind: What `pose` is: skeleton, drawn or driving; auto tells from the file.
        detector: Finds poses in a driving video, and the still's own.
        image_pose: A file with the still's own pose, in its pixels; without it and a detector, the person in the still
            is taken to stand upright.
        retarget: Give the motion the still's proportions and place; false takes it as it is, scaled to the still.
        animation: The one of a .glb that is wanted, if it has several.
        azimuth_deg, elevation_deg: From where a motion in space is seen; 0 is the front.
        image_encoder: A folder with the CLIP picture tower, where the animator's folder has none.
        fit: How the still becomes a frame: pad, crop, stretch, or cutout (the person alone, on white).
        frames: At most so many frames, from the first on; 0 takes all.
        fps: Frames a second; null keeps the motion's.
        height, width: Of a frame, in pixels; null is the prior's own size.
        steps: Of sampling.
        scale: Classifier-free guidance scale.
        sampler: dpmpp_2m, ddim, euler or heun.
        windows: How context windows lie on clips of more frames than one has; null lays none.
        frame_seeds: Draw each frame's noise from (seed, its number), so that clips of other lengths begin alike.
        ground: keep the still's own where neither its person nor the poses come near, for a camera that stands still;
            make all of it anew, as the paper; auto keeps it with the shipped animator.
        seed: Of the noise.
    """

    prior: StableDiffusionPrior
    image: str
    pose: str
    animator: str = "pocket"
    kind: str = "auto"
    detector: PoseDetector | None = None
    image_pose: str = ""
    retarget: bool = True
    animation: str = ""
    azimuth_deg: float = 0.0
    elevation_deg: float = 5.0
    image_encoder: str = ""
    fit: str = "pad"
    frames: int = 0
    fps: float | None = None
    height: int | None = None
    width: int | None = None
    steps: int = 25
    scale: float = 3.5
    sampler: str = "dpmpp_2m"
    windows: Windows | None = None
    frame_seeds: bool = True
    ground: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        self._check()
        is_kept(self.ground, shipped=False)
        size = self.height or self.prior.resolution, self.width or self.prior.resolution
        self.still = read_still(self.image, *size, self.fit)
        self._read_motion()
        folder = ANIMATOR if self.animator == "pocket" else self.animator
        parts = load(folder, self.prior, image_encoder=self.image_encoder)
        self.sampling = Sampling(
            AnimatePrior(self.prior, parts), windows=self.windows, sampler=self.sampler, steps=self.steps,
            scale=self.scale, frame_seeds=self.frame_seeds, seed=self.seed,
        )  # fmt: skip
        self.sampling.check(len(self.pictures), self.fps, *size)

    def run(self, run: Run) -> None:
        make, video, count = self.sampling, self.sampling.video.to(run.device), len(self.pictures)
        size = self.still.shape[-2:]
        condition = video.embed(self.still, self.pictures[None])
        grid, noise = make.grid(), make.noise(count, *size)
        own = self.near_person() if is_kept(self.ground, shipped=self.animator == "pocket") else None
        known = None if own is None else kept_ground(make, self.still, own, self.poses, noise)
        latents = make.sample(make.start(grid, noise), condition, run, grid=grid, known=known)
        frames = make.decode(latents, frame_store(run, count, *size))
        write_image(run.path("images", "still.png"), self.still)
        write_clip(run, frames, self.fps)
        self._write_beside(run, frames)
        if self.poses is not None:
            write_poses(run.path("poses.json"), self.poses)
        run.write_report(measured(frames, self.fps) | self._pose_measures(frames) | {"notes": STAND_INS})
        clear(run)

    def near_person(self) -> Bool[Tensor, "1 h w"] | None:
        """What of the still is near its person; None where that, or what the poses need, cannot be told."""
        if self.poses is None:
            return None
        return near_object(self.still) if self.own is None else near(self.own[:1], *self.still.shape[-2:])

    # ------------------------------------------------------------------------------------------ what is given

    def _check(self) -> None:
        for name, given, possible in (("kind", self.kind, KINDS), ("fit", self.fit, FITS)):
            if given not in possible:
                raise UserError(f"{name}={given!r} is not one of: {', '.join(possible)}.")
        if self.image_pose and self.fit == "cutout":
            raise UserError(
                "image_pose= is in the pixels of the picture, which fit=cutout moves: type fit=pad."
            )
        if self.frames < 0:
            raise UserError(f"frames must be positive, or 0 for all, got {self.frames}.")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise UserError(f"fps is how many frames are shown in a second: above 0, got {self.fps:g}.")

    def _read_motion(self) -> None:
        """Sets `poses` (None if they come drawn), `pictures` and `fps`; `own`, the still's pose if it is known."""
        h, w = self.still.shape[-2:]
        kind = self._kind()
        if kind == "skeleton":
            motion = at_rate(read_poses(self.pose, animation=self.animation), self.fps, self.frames)
            motion = flat(motion, azimuth_deg=self.azimuth_deg, elevation_deg=self.elevation_deg)
        else:
            film = VideoFile(self.pose)
            chosen = range(len(film)) if self.fps is None else shown_at(film.times, film.duration, self.fps)
            shown = film.read(list(chosen)[: self.frames or None])
            self.fps = film.fps if self.fps is None else self.fps
        if kind == "drawn":
            if self.kind == "auto" and float(shown.median()) > DARK:
                raise UserError(
                    f"{self.pose} shows no skeletons drawn on black. If it is a film of a person, give "
                    "detector=blazepose detector.path=FILE; if its skeletons are on another ground, kind=drawn."
                )
            if self.ground == "keep":
                raise UserError(
                    "ground=keep must know where the poses are, and drawn skeletons do not say: give a file of poses."
                )
            self.poses, self.pictures = None, fitted(shown, h, w, "pad" if self.fit == "cutout" else self.fit)
            return
        if kind == "driving":
            motion = replace(self.detector(shown), fps=self.fps)
        self.fps = self.fps or motion.fps or 8.0
        self.own = self._own_pose()
        self.poses = replace(
            laid_over(motion, self.still, own=self.own, as_given=not self.retarget), fps=self.fps
        )
        self.pictures = pose_pictures(self.poses, h, w)

    def _kind(self) -> str:
        path = Path(self.pose).expanduser()
        if self.kind == "auto":
            poses = path.suffix.lower() in READABLE or (path.is_dir() and any(path.glob("*.json")))
            return "skeleton" if poses else "drawn" if self.detector is None else "driving"
        if self.kind == "driving" and self.detector is None:
            raise UserError(
                "kind=driving needs something that finds poses: detector=blazepose detector.path=FILE."
            )
        return self.kind

    def _own_pose(self) -> Poses | None:
        """The still's own pose in the pixels of the frame, if it can be known."""
        if self.image_pose:
            if self.fit == "cutout":
                raise UserError(
                    "image_pose= is in the pixels of the picture, which fit=cutout moves: type fit=pad."
                )
            given = read_poses(self.image_pose)
            if given.points.shape[-1] != 2:
                raise UserError(f"{self.image_pose} holds poses in space; the still's own pose is in pixels.")
            return points_fitted(given, self.image, *self.still.shape[-2:], self.fit)
        found = None if self.detector is None else self.detector(self.still)
        return found if found is not None and bool((found.confidence > 0).any()) else None

    # -------------------------------------------------------------------------------------------- what is made

    def _write_beside(self, run: Run, frames: Images) -> None:
        """videos/beside.mp4: still, pose, result; images/poses.png: poses above results."""
        h, w = self.still.shape[-2:]
        beside = frame_store(run, len(frames), h, 3 * w)
        for first in range(0, len(frames), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            made, poses = frames[part].float(), self.pictures[part]
            beside[part] = torch.cat([self.still.expand_as(made), poses, made], -1).to(beside.dtype)
        write_video(run.path("videos", "beside.mp4"), beside, self.fps)
        chosen = evenly(len(frames), 8)
        rows = torch.cat([self.pictures[chosen], frames[chosen].float()])
        labels = [f"frame {k}" for k in chosen] + [""] * len(chosen)
        write_image(run.path("images", "poses.png"), contact_sheet(enlarged(rows), len(chosen), labels))

    def _pose_measures(self, frames: Images) -> dict[str, float]:
        """How near the joints that the detector finds in the result are to the poses."""
        if self.detector is None or self.poses is None:
            return {}
        found = self.detector(frames[:].float())
        error = pose_error(
            found.points,
            self.poses.points,
            confidence=found.confidence,
            wanted_confidence=self.poses.confidence,
        )
        return {"pose_pck": error.pck, "pose_distance": error.distance, "pose_missing": error.missing}
