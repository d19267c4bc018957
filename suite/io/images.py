"""Image files to and from float32 RGB in [0, 1]."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from suite.errors import UserError
from suite.io.paths import existing_file
from suite.io.weights import write_atomically
from suite.types import Images, Masks

WRITERS = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95}),
    ".jpeg": ("JPEG", {"quality": 95}),
    ".webp": ("WEBP", {"quality": 95}),
}
LINE = 12  # pixels from one line of a label to the next


@dataclass(frozen=True)
class LoadedImage:
    """One image: colours that are not multiplied by alpha, and alpha where the file has it."""

    rgb: Images
    alpha: Masks | None

    def on(self, background: Sequence[float | int] | Images = (1.0, 1.0, 1.0)) -> Images:
        """Composited on a colour or an image; without alpha the image itself."""
        if self.alpha is None:
            return self.rgb
        behind = torch.as_tensor(background, dtype=torch.float32)
        behind = behind if behind.dim() == 4 else behind[None, :, None, None]
        return self.rgb * self.alpha + behind * (1 - self.alpha)


def read_image(path: str | Path) -> LoadedImage:
    """Any image that Pillow reads: PNG, JPEG, WebP, TIFF, GIF (first frame), ...

    Grey and palette images become RGB. The orientation that a camera wrote into the file is applied. 16-bit
    grey keeps its precision; Pillow reduces 16-bit colour to 8 bits. Floating-point images are clipped to
    [0, 1].

    Raises:
        UserError: There is no such file (MissingFile), or it is no image or a damaged one.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    path = existing_file(path, "image")
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            image.load()
    except UnidentifiedImageError:
        raise UserError(f"{path} is not an image that can be read (PNG, JPEG, WebP, TIFF, ...).") from None
    except Image.DecompressionBombError as error:
        most = 2 * Image.MAX_IMAGE_PIXELS // 10**6
        raise UserError(
            f"The image {path} is too large: make it one of at most {most} million pixels."
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"The image {path} is damaged or cut short: {error}.") from error
    return _from_pillow(image)


def _from_pillow(image) -> LoadedImage:
    if image.mode.startswith(("I", "F")):  # 16-bit grey is "I;16", in some files "I"
        grey = torch.from_numpy(np.asarray(image).astype(np.float32))
        grey = grey if image.mode == "F" else grey / 65535
        return LoadedImage(grey.nan_to_num(0).clamp(0, 1).expand(1, 3, -1, -1).contiguous(), None)
    has_alpha = "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info
    values = np.asarray(image.convert("RGBA" if has_alpha else "RGB"), dtype=np.float32) / 255
    tensor = torch.from_numpy(values).permute(2, 0, 1)[None].contiguous()
    return LoadedImage(tensor[:, :3].contiguous(), tensor[:, 3:].contiguous() if has_alpha else None)


def to_bytes(image: Float[Tensor, "*b c h w"]) -> np.ndarray:
    """`*b h w c` uint8, rounded; values outside [0, 1] are clipped."""
    if not bool(torch.isfinite(image).all()):
        raise ValueError("The image has values that are not finite (NaN or infinity).")
    channels_last = image.detach().float().clamp(0, 1).movedim(-3, -1)
    return (channels_last * 255).round().to(torch.uint8).cpu().numpy()


def write_image(
    path: str | Path,
    image: Float[Tensor, "3 h w"] | Float[Tensor, "1 3 h w"],
    *,
    alpha: Float[Tensor, "1 h w"] | Float[Tensor, "1 1 h w"] | None = None,
) -> None:
    """Write a PNG (8 bits, exact), JPEG or WebP, by the suffix; the file is there whole or not at all.

    Args:
        alpha: Coverage, for PNG and WebP.

    Raises:
        ValueError: Another suffix, alpha in a JPEG, or values that are not finite.
    """
    from PIL import Image

    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise ValueError(f"Images are written as {', '.join(WRITERS)}, not {path.name!r}.")
    format_, options = WRITERS[path.suffix.lower()]
    if alpha is not None and format_ == "JPEG":
        raise ValueError("JPEG has no alpha: write a .png or .webp.")
    h, w = image.shape[-2:]
    channels = image.reshape(3, h, w)
    if alpha is not None:
        channels = torch.cat([channels, alpha.reshape(1, h, w)])
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(channels)).save(buffer, format_, **options)
    write_atomically(path, buffer.getvalue())


def contact_sheet(
    images: Images,
    columns: int | None = None,
    labels: Sequence[str] | None = None,
    *,
    padding: int = 2,
    background: float = 1.0,
) -> Float[Tensor, "3 H W"]:
    """All images in a grid, row by row, a label under each.

    Args:
        columns: By default the grid is about square.
        labels: One a picture, on as many lines as its width wants, four at most.
        padding: Pixels between pictures and around them.
        background: Grey level between pictures; labels are black on it, white if it is dark.
    """
    b, _, h, w = images.shape
    if b == 0:
        raise ValueError("A contact sheet needs at least one image.")
    if columns is not None and columns < 1:
        raise ValueError(f"A contact sheet needs columns >= 1, got {columns}.")
    if labels is not None and len(labels) != b:
        raise ValueError(f"A contact sheet of {b} images needs as many labels, got {len(labels)}.")
    columns = min(columns or math.ceil(math.sqrt(b)), b)
    rows = math.ceil(b / columns)
    lines = [_lines(label, w) for label in labels or ()]
    text = 2 + LINE * max(map(len, lines)) if lines else 0
    sheet = torch.full(
        (3, rows * (h + text + padding) + padding, columns * (w + padding) + padding), background
    )
    for k, image in enumerate(images.detach().cpu()):
        top = padding + (k // columns) * (h + text + padding)
        left = padding + (k % columns) * (w + padding)
        sheet[:, top : top + h, left : left + w] = image
        if labels is not None:
            sheet[:, top + h : top + h + text, left : left + w] = _label(lines[k], text, w, background)
    return sheet


def _lines(label: str, width: int) -> list[str]:
    """The label's words on lines that are no wider than the picture, where the words are not."""
    from PIL import ImageFont

    font, lines = ImageFont.load_default(10), [""]
    for word in label.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) < width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines[:4]


def _label(lines: Sequence[str], height: int, width: int, background: float) -> Float[Tensor, "3 h w"]:
    from PIL import Image, ImageDraw, ImageFont

    canvas = Image.new("L", (width, height), round(255 * background))
    draw, ink = ImageDraw.Draw(canvas), 0 if background > 0.5 else 255
    for k, line in enumerate(lines):
        draw.text((1, 1 + LINE * k), line, fill=ink, font=ImageFont.load_default(10))
    return torch.from_numpy(np.asarray(canvas, dtype=np.float32) / 255).expand(3, -1, -1)
