"""Motion modules with the arithmetic of AnimateDiff (Guo et al. 2023, arXiv:2307.04725, Sec. 4.2 and its code).

    h   = W_in GN(x)                          of every place of the picture: a sequence of f frames
    h  += A(LN(h) + p)    twice               self-attention over frames; p: sinusoids of the frame's number
    h  += GEGLU(LN(h))
    x  += W_out h                             W_out = 0 in a fresh module: x stays as it is

Those that read the caption have for their second attention the original's Temporal_Cross, which none of its published
files has: what a frame does then follows from the words and its number, not only from what words do to the picture.

    h  += A(LN(h) + p; words)

Those that know places are told where in the picture they stand, and what the caption says of it at that moment. A
sequence of frames at one place sees neither, and that something rises is a product of all three:

    h   = W_in (GN(x) + 8 U [(A w + a) * (B p + b) * (V g + c)])    w: mean of the caption's words, standardized
                                                                    g: u, v in [-1, 1] of a place, their first sinusoids

Those that see a still (PIA, Zhang et al. 2023, arXiv:2312.13964) add to the U-Net's first convolution of x_t:

    y  += W_s [a, x_s]                        x_s: latents of the still;  a: how alike frame and still are, 1 its own

GN normalises each frame by itself. diffusers' AnimateDiffTransformer3D, whose parts and names these modules are made
of, normalises all frames of a clip together: other pictures from the same weights, hence `PerFrameNorm`.
"""

from collections.abc import Sequence

from diffusers import MotionAdapter, UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from suite.errors import UserError
from video.motion.places import Placed

KNOWN_WIDTHS = {
    (320, 640, 1280, 1280): "Stable Diffusion 1.x or 2.x",
    (320, 640, 1280): "Stable Diffusion XL",
    (64, 128, 192): "the pocket prior",
}

LINEAR = {
    "num_train_timesteps": 1000,
    "beta_schedule": "linear",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}
SCHEDULES = {  # what motion modules were trained with, where it is not the image prior's own schedule
    "animatediff": LINEAR | {"beta_start": 0.00085, "beta_end": 0.012},
    "animatediff_xl": LINEAR | {"beta_start": 0.00085, "beta_end": 0.020},
}


class PerFrameNorm(nn.GroupNorm):
    """Group normalization of each frame by itself."""

    def forward(self, x: Float[Tensor, "b c f h w"]) -> Float[Tensor, "b c f h w"]:
        """The clip, normalised."""
        frames = x.transpose(1, 2)
        return super().forward(frames.flatten(0, 1)).unflatten(0, frames.shape[:2]).transpose(1, 2)


def mixed_noise(
    own: Float[Tensor, "b f c y x"], common: Float[Tensor, "b 1 c y x"], shared: float | Tensor
) -> Float[Tensor, "b f c y x"]:
    """eps_f = sqrt(s) common + sqrt(1 - s) own_f: standard normal in each frame, correlated by s between frames.

    The mixed noise of Ge et al. 2023 (arXiv:2305.10474, Sec. 4.2): an image prior makes like frames of like noise, so
    motion modules have less to learn. `shared` may be a number for each clip, `b 1 1 1 1`.
    """
    if not isinstance(shared, Tensor) and shared == 0:
        return own
    return shared**0.5 * common + (1 - shared) ** 0.5 * own


class WordsAttention(Attention):
    """Attention of every place of a frame to the words of that frame."""

    def forward(
        self,
        hidden_states: Float[Tensor, "places f c"],
        encoder_hidden_states: Float[Tensor, "frames l d"],
        attention_mask: None = None,
    ) -> Float[Tensor, "places f c"]:
        """The frames' places, clip by clip, as diffusers hands them over; the words have a row a frame."""
        frames = hidden_states.shape[1]
        x = hidden_states.unflatten(0, (len(encoder_hidden_states) // frames, -1)).transpose(1, 2)
        y = super().forward(x.flatten(0, 1), encoder_hidden_states)
        return y.unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1)


class Motion(nn.Module):
    """The motion modules of one U-Net.

    Args:
        adapter: Their weights; its norms become per-frame.
        across_frames: Whether the U-Net's resnets and last norm are to normalise over all frames of a clip, as while
            v1 was trained. Motion modules never do.
        noise: The schedule it was trained with: "prior" is the image prior's, "animatediff" (v1, v2, v3) and
            "animatediff_xl" are of the published ones, on purpose not Stable Diffusion's.
        shared_noise: The part of the noise's variance that all frames of a clip have in common, as it was trained; 0
            in the published ones. See `mixed_noise`.
        sampled_noise: That of the noise that sampling begins with; None is the same. With more, frames are taken to
            differ by noise where they hardly do, and what flickers is smoothed.
        name: Where it came from, for messages.

    Raises:
        UserError: There is no such noise.
    """

    def __init__(
        self,
        adapter: MotionAdapter,
        *,
        across_frames: bool = False,
        noise: str = "prior",
        shared_noise: float | int = 0.0,
        sampled_noise: float | int | None = None,
        name: str = "this motion module",
    ) -> None:
        super().__init__()
        if noise not in ("prior", *SCHEDULES):
            raise UserError(f"noise={noise!r} is not one of: prior, {', '.join(SCHEDULES)}.")
        sampled_noise = shared_noise if sampled_noise is None else sampled_noise
        check_share(shared_noise)
        check_share(sampled_noise, "sampled_noise")
        for module in adapter.modules():
            if isinstance(module, AnimateDiffTransformer3D):
                module.norm = _per_frame(module.norm)
        self.adapter, self.across_frames = adapter, across_frames
        self.noise, self.name = noise, name
        self.shared_noise, self.sampled_noise = float(shared_noise), float(sampled_noise)

    @property
    def positions(self) -> int:
        """The most frames that it has positions for."""
        return self.adapter.config.motion_max_seq_length

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the U-Net that it belongs to."""
        return tuple(self.adapter.config.block_out_channels)

    @property
    def sees_stills(self) -> bool:
        """Whether it has an input for a still."""
        return self.adapter.conv_in is not None

    @property
    def words_width(self) -> int | None:
        """Width of the words' tokens that it reads; None where it reads none."""
        of_places = (m.words.in_features for m in self.adapter.modules() if isinstance(m, Placed))
        found = (m.to_k.in_features for m in self.adapter.modules() if isinstance(m, WordsAttention))
        return next(found, next(of_places, None))

    @property
    def attends_to_words(self) -> bool:
        """Whether the second attention is to words, not over frames again."""
        return any(isinstance(m, WordsAttention) for m in self.adapter.modules())

    @property
    def knows_places(self) -> bool:
        """Whether its modules are told where in the picture they stand, and what words say of it."""
        return any(isinstance(m, Placed) for m in self.adapter.modules())

    def sharing(self, shared_noise: float | int, sampled_noise: float | int | None = None) -> "Motion":
        """The same modules for noise of which frames have this part in common; `sampled_noise`: while sampling.

        Raises:
            UserError: It is no such part.
        """
        return Motion(
            self.adapter, across_frames=self.across_frames, noise=self.noise, shared_noise=shared_noise,
            sampled_noise=sampled_noise, name=self.name,
        )  # fmt: skip

    @property
    def is_own(self) -> bool:
        """Whether it has what no published one has: diffusers' folders cannot tell of it."""
        return self.words_width is not None or max(self.shared_noise, self.sampled_noise) > 0

    def still_features(self, still: Float[Tensor, "n k y x"]) -> Float[Tensor, "n w y x"]:
        """What a still and its affinity (the first channel) add to the U-Net's first features."""
        conv = self.adapter.conv_in
        weight = conv.weight[:, conv.in_channels - still.shape[1] :]
        return F.conv2d(still.to(weight.dtype), weight, padding=conv.padding)

    @property
    def layers(self) -> int:
        """Resnets in each down block of the U-Net that it belongs to."""
        return _first(self.adapter.config.motion_layers_per_block)

    def transformers(self) -> dict[str, AnimateDiffTransformer3D]:
        """The single modules by name, as "down_blocks.0.motion_modules.1"."""
        return {n: m for n, m in self.adapter.named_modules() if isinstance(m, AnimateDiffTransformer3D)}

    def use_plain_attention(self) -> "Motion":
        """Write attention out: at these sizes the fused kernel's backward is slow on a CPU."""
        for module in self.adapter.modules():
            if hasattr(module, "set_processor"):
                module.set_processor(AttnProcessor())
        return self

    def check_fit(self, unet: UNet2DConditionModel) -> None:
        """Refuse a U-Net that it was not made for.

        Raises:
            UserError: Says what it belongs to.
        """
        widths, layers = shape_of(unet)
        if (self.widths, self.layers) != (widths, layers):
            raise UserError(
                f"{self.name} belongs to {_described(self.widths, self.layers)}; this prior is "
                f"{_described(widths, layers)}. Give the prior that it was trained on, or another motion module."
            )
        entrance, channels = self.adapter.conv_in, unet.config.in_channels
        if entrance is not None and entrance.in_channels != 2 * channels + 1:
            seen = (entrance.in_channels - 1) // 2
            raise UserError(f"{self.name} sees stills of {seen} latent channels; this prior has {channels}.")
        read, said = self.words_width, unet.config.cross_attention_dim
        if read not in (None, said):
            raise UserError(f"{self.name} reads words of {read} numbers each; this prior's have {said}.")

    def check_frames(self, frames: int) -> None:
        """Refuse more frames than there are positions.

        Raises:
            UserError: Says what to do.
        """
        if frames > self.positions:
            raise UserError(
                f"{frames} frames are more than the {self.positions} positions of {self.name}: make at most "
                f"{self.positions}, or let context windows of {self.positions} frames slide over the clip."
            )


def check_share(share: float | int, name: str = "shared_noise") -> None:
    """Raises:
    UserError: It is no part of the noise that frames could have in common.
    """
    if not 0 <= share < 1:
        raise UserError(f"{name} is a part of the noise, from 0 to below 1, got {share:g}.")


def shape_of(unet: UNet2DConditionModel) -> tuple[tuple[int, ...], int]:
    """Channels of a U-Net's levels, and resnets in each down block."""
    return tuple(unet.config.block_out_channels), _first(unet.config.layers_per_block)


def _per_frame(norm: nn.GroupNorm) -> PerFrameNorm:
    if isinstance(norm, PerFrameNorm):
        return norm
    new = PerFrameNorm(norm.num_groups, norm.num_channels, eps=norm.eps, device="meta")
    new.weight, new.bias = norm.weight, norm.bias
    return new


def _first(count: int | Sequence[int]) -> int:
    return count if isinstance(count, int) else count[0]


def _described(widths: tuple[int, ...], layers: int) -> str:
    known = f" ({KNOWN_WIDTHS[widths]})" if widths in KNOWN_WIDTHS else ""
    return f"a U-Net of {listed(widths)} channels with {layers} layers a block{known}"


def listed(widths: Sequence[int]) -> str:
    """Channels, for a message."""
    return ", ".join(map(str, widths))
