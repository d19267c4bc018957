"""What drives a character: joints from a file or found in a video, laid over the still that shall move.

in space        turned to face the camera, held over one place, and seen by a camera of its own
with the still's own pose    directions of the motion, lengths and place of the still's (`retargeted`)
without it      somebody upright as tall as the object in the still, or as most of the picture
"""

import logging
from dataclasses import replace
from pathlib import Path

import torch

from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.geometry.retargeting import bone_lengths, retargeted
from suite.geometry.skeletons import BONES, COCO_17, Poses, facing_ahead
from suite.io.cutout import cut_out
from suite.io.images import LoadedImage, read_image
from suite.io.videos import shown_at
from suite.types import Images
from video.framing import placement

log = logging.getLogger(__name__)
# The camera of toyworld's people, on whom the shipped animator was trained: a person of height 1, seen whole.
FOV_DEG, DISTANCE = 40.0, 1.8
# Of people from sole to crown, relative to shin + thigh + torso + neck to nose (toyworld's 1.2, real ones 1.15).
STATURE = 1.2
TALL = {"knee": 0.27, "ankle": 0.27, "neck": 0.32, "nose": 0.14}  # what each of these bones is of their sum
ANKLE = 0.055  # how high an ankle is, of the stature
MARGIN = 0.1  # of the picture above and below who is put into it, where nothing says how tall
UP, DOWN = (0.0, -1.0), (0.0, 1.0)
DIRECTIONS = {"neck": UP, "nose": UP, "knee": DOWN, "ankle": DOWN, "elbow": DOWN, "wrist": DOWN}


def at_rate(poses: Poses, fps: float | int | None, frames: int = 0) -> Poses:
    """The poses that are shown at another rate, at most `frames` of them (0 is all).

    Raises:
        UserError: Poses of unknown rate, or fewer than two are left.
    """
    if fps is not None and poses.fps is not None and fps != poses.fps:
        times = torch.arange(len(poses)).double().numpy() / poses.fps
        chosen = torch.from_numpy(shown_at(times, len(poses) / poses.fps, fps)).long()
        poses = replace(poses[chosen], fps=float(fps))
    if frames:
        poses = poses[:frames]
    if len(poses) < 2:
        raise UserError("The motion has one frame: a clip needs at least two poses.")
    return poses


def seen_by_camera(poses: Poses, *, azimuth_deg: float = 0.0, elevation_deg: float = 0.0) -> Poses:
    """Joints in the world to pixels of a square picture of side 1.

    The person faces the camera of azimuth 0 in the first frame and is held over one place; its greatest extent is 1.
    """
    points = facing_ahead(poses).points.double()
    pelvis = facing_ahead(poses).joint("pelvis")[0].double()
    points = points - torch.cat([pelvis[:, :2], torch.zeros(len(pelvis), 1)], 1)[:, None]
    there = poses.confidence > 0
    low, high = points[there].amin(0), points[there].amax(0)
    points = (points - (low + high) / 2) / float((high - low).max().clamp_min(1e-9))
    camera = Cameras.orbit([azimuth_deg], [elevation_deg], [DISTANCE], [FOV_DEG], height=1, width=1)
    pixels = camera.project(points.flatten(0, 1).float())[0].reshape(*points.shape[:2], 2)
    return replace(poses, points=pixels, size=(1, 1))


def laid_over(motion: Poses, still: Images, *, own: Poses | None = None, as_given: bool = False) -> Poses:
    """A motion in the plane, in the pixels of a still `1 3 h w`.

    Args:
        own: The still's own pose, in its pixels.
        as_given: Scale it to the still's size and leave it as it is otherwise.

    Raises:
        UserError: Nobody is seen in any frame, or the motion is to stay as it is and its picture's size is not known.
    """
    h, w = still.shape[-2:]
    if not bool((motion.confidence > 0).any()):
        raise UserError("The motion shows nobody: every joint of every frame is missing.")
    if as_given:
        if motion.size is None:
            raise UserError("The poses do not say of what size their picture is: type retarget=true.")
        return motion.scaled(h, w)
    own = standing(motion, *extent_of(still)) if own is None else replace(own, size=(h, w))
    try:
        return replace(retargeted(motion, own), size=(h, w))
    except ValueError as error:
        raise UserError(f"The motion cannot be laid over the still: {error}") from error


def extent_of(still: Images) -> tuple[float, float, float]:
    """Top, bottom and middle (along x) of the object in a still, in pixels; of most of the picture if it has none."""
    h, w = still.shape[-2:]
    try:
        alpha = cut_out(LoadedImage(still, None), method="plain").alpha[0, 0] > 0.5
    except UserError:
        log.info("No object is found in the still: the motion is laid over most of the picture.")
        return MARGIN * h, (1 - MARGIN) * h, w / 2
    rows, columns = alpha.any(1).nonzero(), alpha.any(0).nonzero()
    return float(rows[0]), float(rows[-1] + 1), float(columns[0] + columns[-1] + 1) / 2


def standing(motion: Poses, top: float, bottom: float, middle: float) -> Poses:
    """Somebody of the motion's proportions who stands upright between `top` and `bottom`, in pixels.

    Raises:
        UserError: The motion has neither legs nor a torso.
    """
    lengths = {name.removeprefix("left_"): length for name, length in bone_lengths(motion).items()}
    told = [bone for bone in TALL if lengths.get(bone, 0.0) > 0]
    if not told:
        raise UserError("The motion shows neither legs nor a torso of anybody: give image_pose=FILE.")
    whole = sum(lengths[bone] for bone in told) / sum(TALL[bone] for bone in told)
    scale = (bottom - top) / (STATURE * whole)
    legs = sum(scale * lengths.get(bone, TALL[bone] * whole) for bone in ("knee", "ankle"))
    places = {"pelvis": torch.tensor([middle, bottom - ANKLE * (bottom - top) - legs])}
    for child, parent in BONES:
        side, _, bone = child.rpartition("_")
        direction = DIRECTIONS.get(bone, (-1.0 if side == "right" else 1.0, 0.0))
        places[child] = places[parent] + scale * lengths.get(bone, 0.0) * torch.tensor(direction)
    points = torch.stack([places[name] for name in COCO_17])[None]
    return Poses(points, torch.ones(1, len(COCO_17)), COCO_17)


def flat(poses: Poses, *, azimuth_deg: float = 0.0, elevation_deg: float = 0.0) -> Poses:
    """Poses in the plane: those in space as a camera sees them, others as they are."""
    if poses.points.shape[-1] == 2:
        return poses
    return seen_by_camera(poses, azimuth_deg=azimuth_deg, elevation_deg=elevation_deg)


def points_fitted(poses: Poses, image: str | Path, height: int, width: int, fit: str) -> Poses:
    """A still's own pose, from the pixels of its file to those of the frame that `framing.fitted` makes of it."""
    h, w = read_image(image).rgb.shape[-2:]
    poses = poses.scaled(h, w) if poses.size is not None else poses
    placed = placement(h, w, height, width, fit)
    scale = torch.tensor([placed.width / w, placed.height / h])
    corner = torch.tensor([placed.left, placed.top])
    return replace(poses, points=poses.points * scale + corner, size=(height, width))
