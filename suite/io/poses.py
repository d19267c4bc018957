"""Files of poses: COCO and OpenPose JSON, BVH, glTF animations, the character files of Animated Drawings.

Joints that a file leaves out, or gives a confidence of 0, are missing (confidence 0), never at the corner (0, 0).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from suite.errors import UserError
from suite.geometry.skeletons import BODY_25, COCO_17, COCO_18, Poses, coco_of_rig
from suite.io.bvh import load_bvh
from suite.io.gltf_skin import load_rig
from suite.io.paths import MissingFile, existing_file
from suite.io.weights import write_atomically

READABLE = (".json", ".bvh", ".glb", ".gltf", ".yaml")
OPENPOSE = {len(names): names for names in (COCO_18, BODY_25)}
DRAWN = {"hand": "wrist", "foot": "ankle"}  # what Animated Drawings calls them


def read_poses(path: str | Path, *, fps: float | int | None = None, animation: str = "") -> Poses:
    """One person's joints, in COCO's order: in pixels from .json and .yaml, in the world from .bvh and .glb.

    Where a file shows several people, the one of the highest confidence; where it shows nobody, all is missing.

    Args:
        path: A COCO .json, an OpenPose .json or a folder of them (one a frame), a .bvh, a rigged .glb or .gltf, or a
            .yaml of Animated Drawings.
        fps: Frames a second, of files that do not say; glTF animations are sampled so (30 by default).
        animation: The one of a .glb that is wanted, if it has several.

    Raises:
        UserError: There is no such file (MissingFile), or it holds no poses that can be read.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _openpose_folder(path, fps)
    path = existing_file(path, "file of poses")
    readers = {".bvh": _bvh, ".yaml": _drawing, ".json": _json}
    suffix = path.suffix.lower()
    if suffix not in READABLE:
        raise UserError(
            f"Poses are read from {', '.join(READABLE)}, or a folder of OpenPose .json, not {path.name!r}."
        )
    if suffix in (".glb", ".gltf"):
        return _animation(path, float(fps or 30), animation)
    return readers[suffix](path, fps)


def write_poses(path: str | Path, poses: Poses) -> None:
    """A COCO .json (17 joints; visibility 2 above a confidence of 0.5, 1 below, 0 missing), or, without a suffix, a
    folder of OpenPose .json (18 joints with their confidence), one a frame.

    Raises:
        ValueError: Another suffix, or poses that are not in pixels.
    """
    path = Path(path)
    if poses.points.shape[-1] != 2:
        raise ValueError("Only poses in pixels are written: project those in the world by a camera first.")
    if path.suffix.lower() not in ("", ".json"):
        raise ValueError(
            f"Poses are written as a COCO .json or a folder of OpenPose .json, not {path.name!r}."
        )
    if path.suffix:
        write_atomically(path, json.dumps(_coco(poses.selected(COCO_17))))
        return
    chosen = poses.selected(COCO_18)
    path.mkdir(parents=True, exist_ok=True)
    for old in path.glob("*_keypoints.json"):
        old.unlink()
    for k in range(len(poses)):
        people = [{"pose_keypoints_2d": _flat(chosen.points[k], chosen.confidence[k])}]
        frame: dict[str, Any] = {"version": 1.3, "people": people}
        if poses.size is not None:
            frame |= {"canvas_height": poses.size[0], "canvas_width": poses.size[1]}
        write_atomically(path / f"{k:06d}_keypoints.json", json.dumps(frame))


def _coco(poses: Poses) -> dict:
    h, w = poses.size or (0, 0)
    visibility = torch.where(poses.confidence > 0.5, 2.0, torch.where(poses.confidence > 0, 1.0, 0.0))
    annotations = [
        {"id": k, "image_id": k, "category_id": 1, "num_keypoints": int((visibility[k] > 0).sum()),
         "keypoints": _flat(poses.points[k], visibility[k])}
        for k in range(len(poses))
    ]  # fmt: skip
    return {
        "info": {"fps": poses.fps},
        "images": [{"id": k, "height": h, "width": w} for k in range(len(poses))],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO_17)}],
        "annotations": annotations,
    }


def _flat(points: torch.Tensor, weight: torch.Tensor) -> list[float]:
    rows = torch.cat([torch.where(weight[:, None] > 0, points, 0.0), weight[:, None]], 1)
    return [round(x, 3) for x in rows.double().flatten().tolist()]


def _json(path: Path, fps: float | int | None) -> Poses:
    data = _parsed(path)
    if isinstance(data, dict) and "people" in data:
        return _openpose([(path, data)], fps)
    if isinstance(data, list) or (isinstance(data, dict) and "annotations" in data):
        return _read_coco(path, data, fps)
    raise UserError(
        f'{path} holds no poses: neither OpenPose\'s "people" nor COCO\'s "annotations" or a list of them.'
    )


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not JSON, or cut short: {error}.") from error


def _read_coco(path: Path, data: Any, fps: float | int | None) -> Poses:
    about = data if isinstance(data, dict) else {}
    rows = about.get("annotations", data if isinstance(data, list) else [])
    images = sorted(about.get("images", []), key=lambda image: image.get("id", 0))
    frames = {image["id"]: [] for image in images if "id" in image}
    for row in rows:
        numbers = row.get("keypoints", ()) if isinstance(row, dict) else ()
        if not numbers or len(numbers) % 3 or "image_id" not in row:
            raise UserError(f"{path} has an annotation without image_id and keypoints [x, y, v, ...].")
        frames.setdefault(row["image_id"], []).append(np.array(numbers, dtype=float).reshape(-1, 3))
    flags = bool(about) or max((x[:, 2].max() for x in sum(frames.values(), []) if len(x)), default=0) > 1
    people = [[x * [1, 1, 0.5 if flags else 1] for x in frames[key]] for key in sorted(frames, key=_order)]
    size = (int(images[0].get("height", 0)), int(images[0].get("width", 0))) if images else (0, 0)
    rate = fps or (about.get("info") or {}).get("fps")
    return _of_best(path, people, COCO_17, rate, size if min(size) > 0 else None)


def _order(key: Any) -> tuple:
    return (0, key, "") if isinstance(key, int) else (1, 0, str(key))


def _openpose_folder(folder: Path, fps: float | int | None) -> Poses:
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise MissingFile(f"The folder {folder} holds no .json of OpenPose.")
    return _openpose([(path, _parsed(path)) for path in paths], fps)


def _openpose(frames: Sequence[tuple[Path, Any]], fps: float | int | None) -> Poses:
    people: list[list[np.ndarray]] = []
    for path, data in frames:
        if not isinstance(data, dict) or not isinstance(data.get("people"), list):
            raise UserError(f'{path} is not of OpenPose: it has no "people".')
        rows = [np.array(person.get("pose_keypoints_2d") or [], dtype=float) for person in data["people"]]
        people.append([row.reshape(-1, 3) for row in rows if len(row) and len(row) % 3 == 0])
    path, first = frames[0]
    counts = {len(person) for frame in people for person in frame} or {18}
    if len(counts) > 1 or not counts <= set(OPENPOSE):
        found = " and ".join(map(str, sorted(counts)))
        raise UserError(f"{path.parent} has people of {found} joints; OpenPose gives 18 or 25.")
    h, w = (int(first.get(key) or 0) for key in ("canvas_height", "canvas_width"))
    poses = _of_best(path, people, OPENPOSE[counts.pop()], fps, (h, w) if min(h, w) > 0 else None)
    return poses.selected(COCO_17)


def _of_best(
    path: Path, people: list[list[np.ndarray]], names: tuple[str, ...], fps: Any, size: tuple[int, int] | None
) -> Poses:
    """The surest person of each frame."""
    if not people:
        raise UserError(f"{path} holds no frame with a person.")
    rows = np.zeros((len(people), len(names), 3))
    for k, found in enumerate(people):
        if found:
            best = max(found, key=lambda person: person[:, 2].sum())
            if len(best) != len(names):
                raise UserError(f"{path} has people of {len(best)} joints, where {len(names)} are wanted.")
            rows[k] = best
    values = torch.from_numpy(rows).float()
    return Poses(
        values[..., :2], values[..., 2].clamp(0, 1), names, None if fps is None else float(fps), size
    )


def _bvh(path: Path, fps: float | int | None) -> Poses:
    """In the world: whichever axis the body stands along becomes +Z."""
    motion = load_bvh(path)
    points = torch.from_numpy(motion.positions()).float()
    try:
        poses = coco_of_rig(points, motion.names, motion.fps)
        upright = (
            poses.joint("neck")[0] - (poses.joint("left_ankle")[0] + poses.joint("right_ankle")[0]) / 2
        ).mean(0)
        if int(upright.abs().argmax()) == 1:  # +Y up, +Z front: as glTF
            poses = coco_of_rig(points[..., [2, 0, 1]], motion.names, motion.fps)
    except ValueError as error:
        raise UserError(f"{path} is not the motion of a person: {error}") from error
    return poses


def _animation(path: Path, fps: float, animation: str) -> Poses:
    rig = load_rig(path)
    name = rig.animation(animation)
    times = np.arange(max(1, round(rig.duration(name) * fps))) / fps
    points = np.stack([rig.joints(name, time) for time in times])
    try:
        return coco_of_rig(torch.from_numpy(points).float(), rig.names, fps)
    except ValueError as error:
        raise UserError(f"{path} is not the rig of a person: {error}") from error


def _drawing(path: Path, fps: float | int | None) -> Poses:
    """char_cfg.yaml of Animated Drawings: one frame, without a face."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        places = {str(row["name"]): [float(x) for x in row["loc"]] for row in data["skeleton"]}
        size = (int(data["height"]), int(data["width"]))
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is no character of Animated Drawings: it needs skeleton, height and width."
        ) from error
    for side in ("left", "right"):
        places |= {
            f"{side}_{ours}": places[f"{side}_{name}"]
            for name, ours in DRAWN.items()
            if f"{side}_{name}" in places
        }
    places |= (
        {"nose": places["neck"]} if "neck" in places else {}
    )  # drawn at the chin; the torso is at the shoulders
    found = [places.get(name) for name in COCO_17]
    points = torch.tensor([[place or [0.0, 0.0] for place in found]])
    sure = torch.tensor([[float(place is not None) for place in found]])
    return Poses(points, sure, COCO_17, None if fps is None else float(fps), size)
