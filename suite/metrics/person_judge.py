"""The person judge: an independent network that finds the joints of toyworld's people, and tells who somebody is.

It has never seen a generated picture, nor one that an animator was trained on: `suite train_person_judge` trains it on
other seeds. Joints are means over heat maps, each a distribution over places (Sun et al. 2018, arXiv:1711.08229).
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from suite.geometry.skeletons import COCO_17, Poses
from suite.io.networks import load_network, save_network
from suite.metrics.judge import resized
from suite.types import Images

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "person_judge"
# The mean spread of the heat maps, in widths of the picture: up to SURE somebody is there, from NOBODY on nobody (95 %
# of people are below 0.196, 95 % of objects above 0.228, noise is at 0.34).
SURE, NOBODY = 0.2, 0.24


class PersonJudge(nn.Module):
    """Convolutions down to an eighth of the resolution and up again; heat maps at a quarter, one linear layer.

    Args:
        outfits: Names of the people that it tells apart.
        widths: Channels at 1/2, 1/4 and 1/8 of the resolution.
    """

    def __init__(self, *, outfits: Sequence[str], widths: Sequence[int] = (32, 64, 128)) -> None:
        super().__init__()
        self.outfits, self.widths = tuple(outfits), tuple(widths)
        a, b, c = self.widths
        self.stem = _layer(3, a, stride=2, size=5)
        self.body = nn.Sequential(_layer(a, b, stride=2), _layer(b, b))
        self.deep = nn.Sequential(_layer(b, c, stride=2), _layer(c, c), _layer(c, c), _layer(c, c))
        self.up = nn.Conv2d(c, b, 1)
        self.maps = nn.Sequential(_layer(b, b), nn.Conv2d(b, len(COCO_17), 1))
        self.head = nn.Linear(c, len(self.outfits))

    def forward(
        self, images: Images
    ) -> tuple[Float[Tensor, "b o"], Float[Tensor, "b 17 2"], Float[Tensor, "b 17"]]:
        """Log-probabilities of the outfits, joints (x, y) in [0, 1], and the spread of each one's heat map."""
        x = resized(images) * 4 - 2
        quarter = self.body(self.stem(x.contiguous(memory_format=torch.channels_last)))
        eighth = self.deep(quarter)
        features = F.relu(quarter + F.interpolate(self.up(eighth), scale_factor=2, mode="nearest"))
        heat = self.maps(features).float().flatten(2).softmax(-1)
        side = features.shape[-1]
        ticks = (torch.arange(side, device=heat.device) + 0.5) / side
        y, x = (t.flatten() for t in torch.meshgrid(ticks, ticks, indexing="ij"))
        places = torch.stack([x, y], -1)
        joints = heat @ places
        spread = ((places - joints[:, :, None]).square().sum(-1) * heat).sum(-1).sqrt()
        with torch.autocast(heat.device.type, enabled=False):
            return self.head(eighth.float().mean((2, 3))).log_softmax(1), joints, spread

    @torch.no_grad()
    def poses(self, frames: Images) -> Poses:
        """Joints of the person in each frame, in its pixels, with the confidence that somebody is there."""
        h, w = frames.shape[-2:]
        found = [self(part.to(self.head.weight.device)) for part in frames.float().split(64)]
        joints, spread = (torch.cat([x[k] for x in found]).cpu() for k in (1, 2))
        there = ((NOBODY - spread.mean(1, keepdim=True)) / (NOBODY - SURE)).clamp(0, 1)
        return Poses(joints * torch.tensor([w, h]), there.expand_as(spread).clone(), COCO_17, size=(h, w))

    @torch.no_grad()
    def who(self, images: Images) -> list[str]:
        """The likeliest outfit of the person in each picture."""
        device = self.head.weight.device
        scores = torch.cat([self(part.to(device))[0] for part in images.float().split(64)])
        return [self.outfits[k] for k in scores.argmax(1).tolist()]

    def save(self, folder: str | Path) -> None:
        """Writes person_judge.json and person_judge.safetensors (half precision)."""
        save_network(self, folder, "person_judge", {"outfits": self.outfits, "widths": self.widths})


def _layer(inputs: int, outputs: int, *, stride: int = 1, size: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def load_person_judge(folder: str | Path = SHIPPED) -> PersonJudge:
    """A frozen person judge from its folder, by default the one that is shipped.

    Raises:
        UserError: There is none, or its weights are damaged or of another network.
    """
    return _load(Path(folder))


@cache
def _load(folder: Path) -> PersonJudge:
    return load_network(PersonJudge, folder, "person_judge", "suite train_person_judge")
