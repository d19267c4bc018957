import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from suite.errors import UserError
from suite.io.images import LoadedImage, contact_sheet, read_image, to_bytes, write_image


def random_bytes(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_png_is_exact(tmp_path):
    """Bytes / 255 come back as they were written; nothing but the image is left in the folder."""
    image = torch.from_numpy(random_bytes(3, 5, 7)) / 255
    write_image(tmp_path / "a.png", image)
    back = read_image(tmp_path / "a.png")
    assert torch.equal(back.rgb[0], image) and back.alpha is None
    assert back.rgb.dtype == torch.float32
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_alpha_is_kept_apart_and_composites(tmp_path):
    """RGB under alpha is not multiplied; on a background it is rgb * a + background * (1 - a)."""
    image, alpha = torch.full((1, 3, 2, 2), 0.6), torch.tensor([[0.0, 1.0], [0.2, 0.8]])[None]
    write_image(tmp_path / "a.png", image, alpha=alpha)
    back = read_image(tmp_path / "a.png")
    torch.testing.assert_close(back.rgb, image)
    torch.testing.assert_close(back.alpha[0], alpha)
    on_red = back.on((1.0, 0.0, 0.0))
    torch.testing.assert_close(on_red[0, 0], 0.6 * alpha[0] + (1 - alpha[0]))
    torch.testing.assert_close(back.on(torch.full((1, 3, 2, 2), 0.6)), image)
    assert LoadedImage(image, None).on() is image


def test_a_picture_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    """More pixels than Pillow's limit twice over: one line that says how many may be."""
    write_image(tmp_path / "a.png", torch.zeros(3, 40, 60))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match="a.png is too large: make it one of at most 0 million pixels"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_lossy_formats_are_close(tmp_path, suffix):
    """A smooth picture survives to 3 %."""
    ramp = torch.linspace(0, 1, 32).expand(3, 32, 32)
    write_image(tmp_path / f"a{suffix}", ramp)
    torch.testing.assert_close(read_image(tmp_path / f"a{suffix}").rgb[0], ramp, atol=0.03, rtol=0)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "PA", "1", "CMYK", "RGBA", "RGB"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    """A grey picture of any Pillow mode reads as three equal channels; alpha exists where the mode has it."""
    grey = Image.fromarray(np.full((3, 4), 255, np.uint8))
    image = grey.convert("LA").convert(mode) if mode != "CMYK" else grey.convert("RGB").convert(mode)
    name = tmp_path / ("a.tif" if mode in ("CMYK", "PA") else "a.png")
    if mode == "PA":
        image = image.convert("LA")
    image.save(name)
    back = read_image(name)
    torch.testing.assert_close(back.rgb, torch.ones(1, 3, 3, 4))
    assert (back.alpha is not None) == (mode in ("LA", "PA", "RGBA"))


def test_16_bit_grey_keeps_its_precision(tmp_path):
    """Value v is v / 65535."""
    values = np.array([[0, 1, 1000, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    expected = torch.tensor([[0, 1, 1000, 65535]]) / 65535
    torch.testing.assert_close(read_image(tmp_path / "a.png").rgb[0, 1], expected, atol=1e-7, rtol=0)


def test_16_bit_colour_reads_to_8_bits(tmp_path):
    """A 16-bit RGB PNG, made by hand, reads to within one step of 8 bits."""
    rows = b"".join(b"\0" + np.full((4, 3), 30000, ">u2").tobytes() for _ in range(2))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 4, 2, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    rgb = read_image(tmp_path / "a.png").rgb
    torch.testing.assert_close(rgb, torch.full((1, 3, 2, 4), 30000 / 65535), atol=1 / 255, rtol=0)


def test_float_tiff_is_clipped(tmp_path):
    """A 32-bit float image is taken as [0, 1]."""
    Image.fromarray(np.array([[-1.0, 0.25, 2.0]], np.float32)).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif").rgb[0, 0].tolist() == [[0.0, 0.25, 1.0]]


def test_transparent_palette(tmp_path):
    """A palette PNG with a transparent colour has alpha."""
    image = Image.fromarray(np.array([[0, 1]], np.uint8), mode="P")
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "a.png", transparency=1)
    back = read_image(tmp_path / "a.png")
    assert back.alpha[0, 0].tolist() == [[1.0, 0.0]] and back.rgb[0, :, 0, 0].tolist() == [1.0, 0.0, 0.0]


def test_orientation_of_a_camera_is_applied(tmp_path):
    """EXIF orientation 6 means: turn a quarter clockwise."""
    image = Image.fromarray(random_bytes(2, 3, 3))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    turned = np.rot90(np.asarray(image), -1) / 255
    back = read_image(tmp_path / "a.png").rgb[0].permute(1, 2, 0)
    torch.testing.assert_close(back, torch.tensor(turned.copy(), dtype=torch.float32))


def test_bytes_are_rounded_and_clipped():
    """0.5 / 255 steps round to the nearest; outside [0, 1] is clipped."""
    image = torch.tensor([-1.0, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 2.0]).reshape(1, 1, 6)
    assert to_bytes(image)[0, :, 0].tolist() == [0, 0, 0, 1, 255, 255]


def test_long_labels_take_more_lines():
    """A label wider than its picture goes on in a second line, where its last word is as if written alone."""
    images = torch.ones(2, 3, 30, 60)
    one, two = (contact_sheet(images, 2, [label, "x"], padding=0) for label in ("purple", "a chair purple"))
    assert one.shape == (3, 44, 120) and two.shape == (3, 56, 120)
    torch.testing.assert_close(two[:, 42:, :60], one[:, 30:, :60])
    assert (two[:, 44:, 60:] == 1).all() and (two[:, 30:42, :60] < 0.5).any()


def test_contact_sheet_places_pictures_row_by_row():
    """Five pictures in three columns: two rows, padding around; picture k is found at its place."""
    images = torch.arange(5).reshape(5, 1, 1, 1).expand(5, 3, 4, 6) / 10
    sheet = contact_sheet(images, columns=3, padding=2)
    assert sheet.shape == (3, 2 * 6 + 2, 3 * 8 + 2)
    for k in range(5):
        top, left = 2 + k // 3 * 6, 2 + k % 3 * 8
        torch.testing.assert_close(sheet[:, top : top + 4, left : left + 6], images[k])
    assert (sheet[:, :2] == 1).all() and (sheet[:, 8:, 18:] == 1).all()
    assert contact_sheet(images).shape == (3, 2 * 6 + 2, 3 * 8 + 2)  # about square by default
    assert contact_sheet(images[:1], columns=9).shape == (3, 8, 10)


def test_contact_sheet_labels():
    """A label adds 14 rows with ink in them, dark on light and light on dark."""
    images = torch.full((2, 3, 20, 40), 0.5)
    light = contact_sheet(images, 2, ["one", "two"])
    assert light.shape == (3, 20 + 14 + 4, 2 * 42 + 2)
    assert light[:, 22:36].min() < 0.3 and light[:, 22:36].max() == 1
    dark = contact_sheet(images, 2, ["one", ""], background=0.0)
    assert dark[:, 22:36, :44].max() > 0.7 and dark[:, 22:36, 44:].max() == 0


def test_errors(tmp_path):
    """Each bad file or argument gets one line that says what is possible."""
    with pytest.raises(FileNotFoundError, match="There is no image at .*nothing.png"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(UserError, match="is a folder, not a file with one image"):
        read_image(tmp_path)
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(UserError, match="text.png is not an image that can be read"):
        read_image(tmp_path / "text.png")
    write_image(tmp_path / "a.png", torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)))
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:3000])
    with pytest.raises(UserError, match="cut.png is damaged or cut short"):
        read_image(tmp_path / "cut.png")
    with pytest.raises(ValueError, match="written as .png, .jpg, .jpeg, .webp, not 'a.bmp'"):
        write_image(tmp_path / "a.bmp", torch.zeros(3, 2, 2))
    with pytest.raises(ValueError, match="JPEG has no alpha"):
        write_image(tmp_path / "a.jpg", torch.zeros(3, 2, 2), alpha=torch.zeros(1, 2, 2))
    with pytest.raises(ValueError, match="not finite"):
        write_image(tmp_path / "a.png", torch.full((3, 2, 2), float("nan")))
    with pytest.raises(ValueError, match="at least one image"):
        contact_sheet(torch.zeros(0, 3, 2, 2))
    with pytest.raises(ValueError, match="columns >= 1, got 0"):
        contact_sheet(torch.zeros(1, 3, 2, 2), 0)
    with pytest.raises(ValueError, match="of 2 images needs as many labels, got 1"):
        contact_sheet(torch.zeros(2, 3, 2, 2), labels=["a"])
