"""The Pose Guider: a few convolutions from pictures of poses to what is added to the denoiser's first features.

    conv 3 -> c_0; then for each level: conv c_k -> c_k, conv c_k -> c_{k+1} of stride 2; conv c_K -> C, zero at first

Widths 16, 32, 96, 256 and a factor of 8 are of Moore-AnimateAnyone, as ControlNet's condition embedding has them; the
four convolutions of stride 2 of the paper (arXiv:2311.17117, Sec. 3.2) would not fit a latent of factor 8. SiLU follows
every convolution but the last.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from suite.errors import UserError
from suite.types import Images

WIDTHS = (16, 32, 96, 256)


class PoseGuider(nn.Module):
    """Pictures of poses to features of a denoiser.

    Args:
        out: Channels of the denoiser's first features.
        widths: c_0, c_1, ...: one more than there are halvings of the size.

    Raises:
        UserError: There are no widths, or one is not positive.
    """

    def __init__(self, out: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        if not widths or min(widths) < 1:
            raise UserError(f"A pose guider needs positive widths, got {tuple(widths)}.")
        self.widths = tuple(widths)
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for narrow, wide in zip(widths, widths[1:]):
            self.blocks.append(nn.Conv2d(narrow, narrow, 3, padding=1))
            self.blocks.append(nn.Conv2d(narrow, wide, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(widths[-1], out, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    @property
    def factor(self) -> int:
        """Pixels of a picture per feature and side."""
        return 2 ** (len(self.widths) - 1)

    def forward(self, pictures: Images) -> Float[Tensor, "b c y x"]:
        """Features of pictures in [0, 1]."""
        x = F.silu(self.conv_in(pictures))
        for block in self.blocks:
            x = F.silu(block(x))
        return self.conv_out(x)


def widths_for(factor: int) -> tuple[int, ...]:
    """The first of Moore's widths, or more of the last, for latents of this factor.

    Raises:
        UserError: The factor is no power of two.
    """
    halvings = factor.bit_length() - 1
    if factor != 2**halvings:
        raise UserError(f"A pose guider halves pictures; a prior of factor {factor} does not fit.")
    return (*WIDTHS, *WIDTHS[-1:] * halvings)[: halvings + 1]
