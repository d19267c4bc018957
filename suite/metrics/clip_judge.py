"""The clip judge: an independent classifier that names the motion in a clip of toyworld.

It has never seen a generated clip, nor a clip that motion modules were trained on: `suite train_clip_judge` trains it
on other seeds, the held-out pairs of thing and motion included. What moves is for the judge of pictures to say.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from suite.io.networks import load_network, save_network
from suite.types import Frames

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "clip_judge"
SIZE, FRAMES = 32, 16  # pixels of a side and frames of the clips that it looks at
STEM = 6  # channels that it is shown: colours, and their change to the next frame


class ClipJudge(nn.Module):
    """Convolutions over each frame, then over space and time, a mean, one linear layer.

    Args:
        motions: What it tells apart, in the order of its answers.
        widths: Channels at 1/2, 1/4 (of each frame), 1/8 and 1/16 of the resolution (and over frames).
    """

    def __init__(self, *, motions: Sequence[str], widths: Sequence[int] = (24, 48, 96, 128)) -> None:
        super().__init__()
        self.motions, self.widths = tuple(motions), tuple(widths)
        a, b, c, d = self.widths
        self.frames = nn.Sequential(
            nn.Conv2d(STEM, a, 5, 2, 2, bias=False), nn.BatchNorm2d(a), nn.ReLU(),
            nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(),
        )  # fmt: skip
        self.clips = nn.Sequential(
            nn.Conv3d(b, c, 3, (1, 2, 2), 1, bias=False), nn.BatchNorm3d(c), nn.ReLU(),
            nn.Conv3d(c, d, 3, 2, 1, bias=False), nn.BatchNorm3d(d), nn.ReLU(),
            nn.Conv3d(d, d, 3, (2, 1, 1), 1, bias=False), nn.BatchNorm3d(d), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(d, len(self.motions))

    def forward(self, clips: Frames) -> Float[Tensor, "b m"]:
        """Log-probabilities of the motions in clips of any size and length."""
        x = shown(clips)
        b, f = x.shape[:2]
        x = self.frames(x.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        x = self.clips(x.unflatten(0, (b, f)).movedim(1, 2)).float().mean((2, 3, 4))
        with torch.autocast(x.device.type, enabled=False):
            return self.head(x).log_softmax(1)

    @torch.no_grad()
    def named(self, clips: Frames, among: Sequence[str] | None = None) -> list[str]:
        """The likeliest motion of each clip, of all or `among` some."""
        answers = tuple(among or self.motions)
        device = self.head.weight.device
        scores = torch.cat([self(part.to(device)) for part in clips.float().split(16)])
        chosen = scores[:, [self.motions.index(answer) for answer in answers]].argmax(1)
        return [answers[i] for i in chosen.tolist()]

    def save(self, folder: str | Path) -> None:
        """Writes clip_judge.json and clip_judge.safetensors (half precision)."""
        save_network(self, folder, "clip_judge", {"motions": self.motions, "widths": self.widths})


def shown(clips: Frames) -> Float[Tensor, "b 16 6 32 32"]:
    """What the judge is shown: 16 frames of 32 pixels, and beside each its change to the next (to the last, none)."""
    chosen = torch.linspace(0, clips.shape[1] - 1, FRAMES, device=clips.device).round().long()
    frames = clips[:, chosen].flatten(0, 1)
    small = F.interpolate(frames, (SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
    small = small.unflatten(0, (-1, FRAMES)) * 4 - 2
    change = F.pad(small.diff(dim=1), (0, 0, 0, 0, 0, 0, 0, 1))
    return torch.cat([small, 2 * change], dim=2)


def load_clip_judge(folder: str | Path = SHIPPED) -> ClipJudge:
    """A frozen clip judge from its folder, by default the one that is shipped.

    Raises:
        UserError: There is none, or its weights are damaged or of another network.
    """
    return _load(Path(folder))


@cache
def _load(folder: Path) -> ClipJudge:
    return load_network(ClipJudge, folder, "clip_judge", "suite train_clip_judge")
