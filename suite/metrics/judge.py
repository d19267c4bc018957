"""The judge: an independent classifier that names what a picture of toyworld shows.

It has never seen the prior, nor the prior's training pictures: `suite train_judge` trains it on other seeds,
the held-out compositions included. Four answers, each a distribution: what it is (a kind of object, a real
object or a person), its colour, its pattern, and from which side it is seen.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from suite.io.networks import load_network, save_network
from suite.types import Images

ASSETS = Path(__file__).resolve().parent.parent / "assets"
SHIPPED = ASSETS / "judge"
OF_FRAMES = ASSETS / "frame_judge"  # trained further on things in the middle of a motion
PERSON = "person"
HOT_DOG = "hot dog"  # the one real object whose last word is a kind that it is not
SIZE = 64  # pixels: the side of the pictures it looks at


@dataclass(frozen=True)
class World:
    """What the judge can tell apart: the order of its answers.

    Args:
        kinds: Kinds of procedural objects.
        fronts: Names of things whose front, side and back differ.
        real: Captions of real objects.
        colors, patterns: Of procedural objects.
        views: View words, as in "front view".
    """

    kinds: tuple[str, ...]
    fronts: tuple[str, ...]
    real: tuple[str, ...]
    colors: tuple[str, ...]
    patterns: tuple[str, ...]
    views: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every answer to "what is it": kinds, real objects, "person"."""
        return (*self.kinds, *self.real, PERSON)

    def is_a(self, answer: str, name: str) -> bool:
        """Whether an answer to "what is it" is right for a thing of that name: a sports car is a car."""
        return answer == name or (answer.endswith(f" {name}") and answer in self.real and answer != HOT_DOG)

    @property
    def heads(self) -> dict[str, tuple[str, ...]]:
        """The possible answers to each question."""
        return {"name": self.names, "color": self.colors, "pattern": self.patterns, "view": self.views}


@dataclass(frozen=True)
class Verdict:
    """What the judge makes of `b` pictures: log-probabilities, in the order of its world's answers.

    Colour and pattern mean something for procedural objects only; the view of a thing without a front only as
    overhead or not.
    """

    world: World
    name: Float[Tensor, "b n"]
    color: Float[Tensor, "b c"]
    pattern: Float[Tensor, "b p"]
    view: Float[Tensor, "b v"]

    def __len__(self) -> int:
        return len(self.name)

    def best(self, head: str, among: Sequence[str] | None = None) -> list[str]:
        """The likeliest answer to "name", "color", "pattern" or "view" for each picture (`among` some)."""
        answers, scores = self.world.heads[head], getattr(self, head)
        if among is not None:
            scores = scores[:, [answers.index(answer) for answer in among]]
            answers = tuple(among)
        return [answers[i] for i in scores.argmax(1).tolist()]

    def best_of_all(self, head: str) -> str:
        """The answer that is likeliest if all pictures show the same."""
        return self.world.heads[head][int(getattr(self, head).mean(0).argmax())]

    def log_probability(self, head: str, answer: str) -> Float[Tensor, " b"]:
        """The logarithm of the probability of one answer, for each picture."""
        return getattr(self, head)[:, self.world.heads[head].index(answer)]


class _Block(nn.Module):
    """Half the resolution: a strided convolution, then a residual one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
        self.down_norm = nn.BatchNorm2d(outputs)
        self.same = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.same_norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h/2 w/2"]:
        x = F.relu(self.down_norm(self.down(x)))
        return F.relu(x + self.same_norm(self.same(x)))


class _Residual(nn.Module):
    """One more convolution at the same resolution; a fresh one changes nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.same = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return F.relu(x + self.norm(self.same(x)))


class Judge(nn.Module):
    """The classifier's network: strided convolutions, a mean over the picture, one linear layer a question.

    Args:
        world: What it tells apart.
        widths: Channels at 1/2, 1/4, 1/8 and 1/16 of the resolution.
    """

    def __init__(self, *, world: World, widths: Sequence[int] = (32, 64, 128, 256)) -> None:
        super().__init__()
        self.world, self.widths = world, tuple(widths)
        self.stem = nn.Conv2d(3, widths[0], 5, 2, 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        self.blocks = nn.Sequential(*[_Block(a, b) for a, b in zip(widths, widths[1:])])
        self.more = nn.ModuleList([_Residual(width) for width in widths[2:]])
        self.heads = nn.ModuleDict({head: nn.Linear(widths[-1], len(a)) for head, a in world.heads.items()})

    def forward(self, images: Images) -> Verdict:
        """The verdict on pictures of any size."""
        x = resized(images) * 4 - 2
        x = F.relu(self.stem_norm(self.stem(x.contiguous(memory_format=torch.channels_last))))
        for block, more in zip(self.blocks, [nn.Identity(), *self.more]):
            x = more(block(x))
        x = x.float().mean((2, 3))
        with torch.autocast(x.device.type, enabled=False):
            answers = {head: layer(x).log_softmax(1) for head, layer in self.heads.items()}
        return Verdict(self.world, **answers)

    @torch.no_grad()
    def look(self, images: Images, batch: int = 128) -> Verdict:
        """The verdict on many pictures, in batches, without gradients."""
        device = self.stem.weight.device
        parts = [self(chunk.to(device)) for chunk in images.float().split(batch)]
        return Verdict(
            self.world, **{head: torch.cat([getattr(p, head) for p in parts]) for head in self.heads}
        )

    def save(self, folder: str | Path) -> None:
        """Writes judge.json (what it tells apart) and judge.safetensors (half precision)."""
        save_network(self, folder, "judge", {"widths": self.widths, **asdict(self.world)})


def resized(images: Images) -> Float[Tensor, "b 3 64 64"]:
    """Pictures at the judge's size."""
    if images.shape[-2:] == (SIZE, SIZE):
        return images
    return F.interpolate(images, (SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True).clamp(
        0, 1
    )


def load_judge(folder: str | Path = SHIPPED) -> Judge:
    """A frozen judge from its folder, by default the one that is shipped; OF_FRAMES is the one for clips.

    Raises:
        UserError: There is none, or its weights are damaged or of another network.
    """
    return _load(Path(folder))


@cache
def _load(folder: Path) -> Judge:
    return load_network(_judge, folder, "judge", "suite train_judge")


def _judge(*, widths: Sequence[int], **world: Any) -> Judge:
    return Judge(world=World(**world), widths=widths)
