"""The measures of one video, whose frames come in runs: not all of them need be in memory at once."""

import torch
from torch import Tensor

from suite.metrics.flow import consistent, strength, tvl1_flow, warped
from suite.metrics.videos import (
    dynamic_degree,
    flicker,
    frame_psnr,
    frame_ssim,
    judge_features,
    largest_jump,
    smoothness_errors,
    subject_consistency,
    warping_error,
)
from suite.types import Images


class VideoMeasures:
    """Gathers what is measured of a video; see `suite.metrics.videos` for the formulae.

    Attributes:
        count: Frames so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self.size = (0, 0)
        self.values: dict[str, list[Tensor]] = {}
        self.features: list[Tensor] = []

    def add(self, frames: Images, truth: Images | None = None) -> dict[str, Tensor]:
        """Measures a run of frames.

        Args:
            frames: An odd number, unless they are the last; the first one is the last one of the run before.
            truth: What they should show.

        Returns:
            What is measured of these frames.
        """
        new = slice(1 if self.count else 0, None)  # the frame that two runs share counts once
        found = chunk_measures(frames)
        if truth is not None:
            found |= {"psnr": frame_psnr(frames, truth)[new], "ssim": frame_ssim(frames, truth)[new]}
        for name, values in found.items():
            self.values.setdefault(name, []).append(values)
        self.features.append(judge_features(frames[new]))
        self.count, self.size = self.count + len(frames[new]), tuple(frames.shape[-2:])
        return found

    def summary(self, fps: float | int) -> dict[str, float]:
        """Means over the frames; what needs more frames than there are is left out."""
        values = {name: torch.cat(parts) for name, parts in self.values.items()}
        height, width = self.size
        found: dict[str, float] = {"frames": self.count, "fps": fps, "height": height, "width": width}
        if self.count > 1:
            found |= {
                "flicker": float(values["flicker"].mean()),
                "temporal_flickering": 1 - float(values["flicker"].mean()),
                "largest_jump": largest_jump(values["flicker"]),
                "warping_error": float(values["warping_error"].mean()),
                "motion_strength_pixels": float(values["strength"].mean()),
                "dynamic_degree": dynamic_degree(values["strength"], height, width),
                "subject_consistency_judge": subject_consistency(torch.cat(self.features)),
            }
        if self.count > 2:
            found["motion_smoothness"] = 1 - float(values["roughness"].mean())
        if "psnr" in values:
            found |= {
                "psnr": float(values["psnr"].clamp(max=100).mean()),
                "ssim": float(values["ssim"].mean()),
            }
        return found


def chunk_measures(frames: Images) -> dict[str, Tensor]:
    """One number a pair of frames: flicker, warping error, strength of motion; one a triple: roughness of motion."""
    if len(frames) < 2:
        return {"flicker": torch.zeros(0)}
    there, back = tvl1_flow(frames[:-1], frames[1:]), tvl1_flow(frames[1:], frames[:-1])
    visible = consistent(there, back)

    def halfway(before: Images, after: Images) -> Images:
        """Between even frames by the flow of the pairs on the way: half of the sum of both."""
        n = len(before)
        ahead = there[0 : 2 * n : 2] + warped(there[1 : 2 * n : 2], there[0 : 2 * n : 2])
        behind = back[1 : 2 * n : 2] + warped(back[0 : 2 * n : 2], back[1 : 2 * n : 2])
        return (warped(before, 0.5 * behind) + warped(after, 0.5 * ahead)) / 2

    return {
        "flicker": flicker(frames),
        "warping_error": warping_error(frames, there, visible),
        "strength": strength(there),
        "roughness": smoothness_errors(frames, halfway) if len(frames) > 2 else torch.zeros(0),
    }
