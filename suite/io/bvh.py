"""BVH files (Biovision hierarchy): a skeleton and its motion, as motion capture gives it.

    M_joint = M_parent T(offset) T(positions) R_1(angle_1) R_2(angle_2) R_3(angle_3)

with the channels in the order of the file and angles in degrees; a joint is at the origin of M_joint.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from suite.errors import UserError
from suite.io.paths import existing_file

CHANNELS = ("Xposition", "Yposition", "Zposition", "Xrotation", "Yrotation", "Zrotation")


@dataclass(frozen=True)
class Bvh:
    """A skeleton of `j` joints in `f` frames.

    Args:
        names: Of the joints, parents first; the end of a limb is called after its joint, "Head_end".
        parents: Index of each joint's parent, -1 for the root.
        offsets: `j 3`, from the parent.
        channels: Names of each joint's channels, in the order of their application.
        values: `f c`, what the channels say in each frame.
        frame_time: Seconds.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    channels: tuple[tuple[str, ...], ...]
    values: np.ndarray
    frame_time: float

    def __len__(self) -> int:
        return len(self.values)

    @property
    def fps(self) -> float:
        """Frames a second."""
        return 1 / self.frame_time

    def positions(self) -> np.ndarray:
        """Where the joints are, `f j 3`, in the file's axes and units."""
        count, first = len(self.values), 0
        frames: list[np.ndarray] = []
        for parent, offset, channels in zip(self.parents, self.offsets, self.channels):
            local = np.tile(np.eye(4), (count, 1, 1))
            local[:, :3, 3] = offset
            for name in channels:
                local = local @ _moved(name, self.values[:, first])
                first += 1
            frames.append(local if parent < 0 else frames[parent] @ local)
        return np.stack([frame[:, :3, 3] for frame in frames], 1)


def _moved(channel: str, values: np.ndarray) -> np.ndarray:
    """`f 4 4` of one channel."""
    out, axis = np.tile(np.eye(4), (len(values), 1, 1)), "XYZ".index(channel[0])
    if channel.endswith("position"):
        out[:, axis, 3] = values
        return out
    i, j = (axis + 1) % 3, (axis + 2) % 3
    c, s = np.cos(np.deg2rad(values)), np.sin(np.deg2rad(values))
    out[:, i, i], out[:, i, j], out[:, j, i], out[:, j, j] = c, -s, s, c
    return out


def load_bvh(path: str | Path) -> Bvh:
    """Reads a .bvh file.

    Raises:
        UserError: There is no such file (MissingFile), or it is no BVH, cut short, or has other numbers of values
            than it says.
    """
    path = existing_file(path, "BVH file")
    text = path.read_text(encoding="utf-8", errors="replace")
    head, found, body = text.partition("MOTION")
    words = head.split()
    if not words or words[0] != "HIERARCHY":
        raise UserError(f"{path} is no BVH file: it does not begin with HIERARCHY.")
    if not found:
        raise UserError(f"{path} is cut short: it has no MOTION. Copy it again.")
    try:
        names, parents, offsets, channels = _hierarchy(words[1:])
    except (IndexError, ValueError) as error:
        raise UserError(f"The hierarchy of {path} cannot be read: {error}.") from error
    values, frame_time = _motion(path, body.strip().splitlines(), sum(map(len, channels)))
    return Bvh(tuple(names), tuple(parents), np.array(offsets), tuple(channels), values, frame_time)


def _hierarchy(words: list[str]) -> tuple[list, list, list, list]:
    names, parents, offsets, channels, stack, k = [], [], [], [], [], 0
    while k < len(words):
        word = words[k]
        if word in ("ROOT", "JOINT", "End"):
            parents.append(stack[-1] if stack else -1)
            names.append(words[k + 1] if word != "End" else f"{names[stack[-1]]}_end")
            offsets.append([0.0, 0.0, 0.0])
            channels.append(())
            k += 2
        elif word == "{":
            stack.append(len(names) - 1)
            k += 1
        elif word == "}":
            stack.pop()
            k += 1
        elif word == "OFFSET":
            offsets[stack[-1]] = [float(x) for x in words[k + 1 : k + 4]]
            k += 4
        elif word == "CHANNELS":
            count = int(words[k + 1])
            channels[stack[-1]] = tuple(words[k + 2 : k + 2 + count])
            unknown = [name for name in channels[stack[-1]] if name not in CHANNELS]
            if unknown:
                raise ValueError(f"{unknown[0]!r} is not a channel; they are {', '.join(CHANNELS)}")
            k += 2 + count
        else:
            raise ValueError(f"{word!r} is not expected there")
    if stack or not names:
        raise ValueError("a brace is not closed, or there is no joint")
    return names, parents, offsets, channels


def _motion(path: Path, lines: list[str], channels: int) -> tuple[np.ndarray, float]:
    try:
        count = int(lines[0].split(":")[1])
        frame_time = float(lines[1].split(":")[1])
    except (IndexError, ValueError) as error:
        raise UserError(f"{path} does not say Frames: N and Frame Time: SECONDS after MOTION.") from error
    if frame_time <= 0:
        raise UserError(f"{path} has a Frame Time of {frame_time}: it must be above 0 seconds.")
    rows = [line.split() for line in lines[2:] if line.strip()]
    if len(rows) < count or count < 1:
        raise UserError(f"{path} is cut short: it says {count} frames and holds {len(rows)}. Copy it again.")
    wrong = next((k for k, row in enumerate(rows[:count]) if len(row) != channels), None)
    if wrong is not None:
        raise UserError(
            f"{path} is damaged or cut short: frame {wrong} has {len(rows[wrong])} numbers, and its channels need "
            f"{channels}."
        )
    try:
        return np.array(rows[:count], dtype=float), frame_time
    except ValueError as error:
        raise UserError(f"{path} holds something that is not a number: {error}.") from error
