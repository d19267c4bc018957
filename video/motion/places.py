"""What a caption says of a place in the picture at a moment, for motion modules that are told it.

    8 U [(A w + a) * (B p + b) * (V g + c)]       w: mean of the caption's words, standardized
                                                  p: sinusoids of the frame's number
                                                  g: u, v in [-1, 1] of the place, and their first sinusoids

That something rises is a product of all three: a sum of products is learnt far sooner than layers find it. Words are
taken as they are before a text encoder puts them in context: "falling" then says the same of things that were never
seen to fall.
"""

import functools
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

OCTAVES = 3  # of the sinusoids of a place, the first with half a period across the picture
PLACE_WAVES = 2 + 4 * OCTAVES
RANK = 48  # terms in which words, numbers and places are multiplied
GAIN = 8.0  # so that their sum reaches the size of a module's features within some hundred steps of training


class Placed(nn.Module):
    """What words, a frame's number and a place in the picture say together: a sum of products, at first 0.

    Args:
        channels: Of the motion module that it is added to, and of the numbers' sinusoids.
        words: Width of the words' embeddings.
        rank: Terms of the sum.
    """

    def __init__(self, channels: int, words: int, rank: int = RANK) -> None:
        super().__init__()
        self.words, self.numbers = nn.Linear(words, rank), nn.Linear(channels, rank)
        self.places = nn.Linear(PLACE_WAVES, rank)
        self.out = nn.Linear(rank, channels, bias=False)
        for factor in (self.words, self.numbers, self.places):
            nn.init.normal_(factor.weight, std=factor.in_features**-0.5)
        nn.init.zeros_(self.out.weight)

    def forward(
        self, words: Float[Tensor, "n d"], numbers: Float[Tensor, "f c"], height: int, width: int
    ) -> Float[Tensor, "b c f h w"]:
        """What is added to clips.

        Args:
            words: Mean embedding of the caption's words: a row a frame, clip by clip.
            numbers: Sinusoids of the frames' numbers.
        """
        mean = F.layer_norm(words, words.shape[-1:])
        said = GAIN * self.words(mean).unflatten(0, (-1, len(numbers))) * self.numbers(numbers)
        where = self.places(place_waves(height, width).to(said).movedim(0, -1))
        return torch.einsum("bfk,hwk,ck->bcfhw", said, where, self.out.weight)


@functools.lru_cache(maxsize=16)
def place_waves(height: int, width: int) -> Float[Tensor, "k h w"]:
    """Of each place: its coordinates from -1 to 1 (of the outermost pixels' far edges), and their sinusoids."""
    v, u = (2 * (torch.arange(n) + 0.5) / n - 1 for n in (height, width))
    places = torch.stack(torch.meshgrid(v, u, indexing="ij"))
    angles = torch.cat([places * (math.pi / 2 * 2**octave) for octave in range(OCTAVES)])
    return torch.cat([places, angles.sin(), angles.cos()])
