"""Pictures of every kind become one object on white, or are refused in a line that says what to do."""

import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image

from suite.errors import UserError
from suite.io.cutout import SHARE, centroids, cut_out, frame_of, framed, load_cutout, plain_background
from suite.io.images import LoadedImage

RED = (200, 30, 30)


def disk(h: int = 60, w: int = 80, *, center=(25, 30), radius: int = 15) -> np.ndarray:
    """Where a disk is, `h w` bool."""
    y, x = np.mgrid[:h, :w]
    return (y - center[0]) ** 2 + (x - center[1]) ** 2 <= radius**2


def rgba(where: np.ndarray, color=RED) -> Image.Image:
    return Image.fromarray(np.dstack([np.full((*where.shape, 3), color), 255 * where]).astype(np.uint8))


def on(where: np.ndarray, background, color=RED) -> Image.Image:
    return Image.fromarray(np.where(where[..., None], color, background).astype(np.uint8))


def saved(image: Image.Image, path, **options):
    image.save(path, **options)
    return path


def agreement(found: torch.Tensor, where: np.ndarray) -> float:
    """Intersection over union of a mask and the truth."""
    a = found[0, 0].numpy() > 0.5
    return (a & where).sum() / (a | where).sum()


def test_the_files_alpha_is_taken_as_it_is(tmp_path):
    """A transparent PNG: its own alpha, bit for bit."""
    found = load_cutout(saved(rgba(disk()), tmp_path / "a.png"))
    assert found.method == "alpha" and torch.equal(found.alpha[0, 0].bool(), torch.from_numpy(disk()))


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (40, 160, 90)])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_plain_background_is_found(tmp_path, background, suffix):
    """Without alpha, or with one that is opaque everywhere; JPEG's noise included."""
    image = on(disk(), background)
    found = load_cutout(saved(image, tmp_path / f"a.{suffix}"))
    assert found.method == "plain" and agreement(found.alpha, disk()) > 0.9
    if suffix == "png":
        opaque = load_cutout(saved(image.convert("RGBA"), tmp_path / "b.png"))
        assert opaque.method == "plain" and torch.equal(opaque.alpha, found.alpha)
        inner = disk(radius=13)
        assert torch.equal(found.rgb[0, :, inner], image_of(image)[:, inner])


def image_of(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).movedim(-1, 0)


def test_what_the_background_encloses_stays():
    """White eyes of a figure on white are the figure's: only what touches the border is background."""
    where = disk()
    image = np.where((where & ~disk(radius=5))[..., None], RED, 255).astype(np.uint8)
    found = plain_background(image_of(Image.fromarray(image))[None])
    assert agreement(found.alpha, where) > 0.95 and found.alpha[0, 0, 25, 30] == 1


def test_soft_edges_lose_the_background():
    """Half a pixel of red on green: alpha lies between, and the colour there is red, not brown."""
    image = np.zeros((20, 20, 3), np.float32) + [0.0, 1.0, 0.0]
    image[5:15, 5:15] = [1.0, 0.0, 0.0]
    image[5:15, 4] = [0.15, 0.85, 0.0]
    found = plain_background(torch.from_numpy(image).movedim(-1, 0)[None])
    assert 0.2 < found.alpha[0, 0, 8, 4] < 0.6 and found.rgb[0, 0, 8, 4] > 0.3


def test_specks_are_dropped():
    """Dust on a plain background is no object."""
    image = np.array(on(disk(), (255, 255, 255)))
    image[55, 75] = 0
    found = plain_background(image_of(Image.fromarray(image))[None])
    assert found.alpha[0, 0, 55, 75] == 0 and agreement(found.alpha, disk()) > 0.95


@pytest.mark.parametrize("mode", ["L", "I;16", "P", "CMYK", "1", "LA"])
def test_every_kind_of_file_is_read(tmp_path, mode):
    """Grey, 16 bits, palette, CMYK, black and white, grey with alpha: the same object."""
    where = disk()
    if mode == "I;16":
        image = Image.fromarray(np.where(where, 9000, 65535).astype(np.uint16))
    elif mode == "LA":
        image = rgba(where).convert("LA")
    else:
        image = on(where, (255, 255, 255), (20, 20, 20)).convert(mode)
    found = load_cutout(saved(image, tmp_path / ("a.tif" if mode == "CMYK" else "a.png")))
    assert agreement(found.alpha, where) > 0.9 and found.method == ("alpha" if mode == "LA" else "plain")


def test_a_palette_with_transparency(tmp_path):
    """A GIF's transparent colour is alpha."""
    image = Image.fromarray(disk().astype(np.uint8))
    image.putpalette([255, 255, 255, *RED])
    found = load_cutout(saved(image, tmp_path / "a.gif", transparency=0))
    assert found.method == "alpha" and agreement(found.alpha, disk()) == 1


def test_the_cameras_orientation_is_applied(tmp_path):
    """EXIF orientation 6: the file lies on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = on(disk(), (255, 255, 255)).rotate(90, expand=True)
    found = load_cutout(saved(image, tmp_path / "a.jpg", exif=exif, quality=95))
    assert agreement(found.alpha, disk()) > 0.9


@pytest.mark.parametrize(("h", "w"), [(60, 80), (40, 900), (900, 40)])
def test_the_object_is_centred_at_its_share(h, w):
    """Whatever the picture's shape: the box's longer side is SHARE of the frame, its middle the frame's."""
    where = disk(h, w, center=(h // 3 + 5, w // 3), radius=12)
    found = cut_out(LoadedImage(image_of(rgba(where).convert("RGB"))[None], alpha_of(where)))
    image, mask = framed(found, frame_of(found), 64)
    rows, columns = (mask[0, 0].amax(dim=d) > 0.5 for d in (1, 0))
    for line in (rows, columns):
        first, last = int(line.nonzero()[0]), int(line.nonzero()[-1])
        assert abs(last - first + 1 - 64 * SHARE) <= 2 and abs((first + last) / 2 - 31.5) <= 1.5
    assert image[0, :, 0, 0].tolist() == [1, 1, 1]
    torch.testing.assert_close(image[0, :, 32, 32], torch.tensor(RED) / 255)


def alpha_of(where: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(where.astype(np.float32))[None, None]


def test_an_object_cut_off_by_the_edge_is_said(caplog):
    """It is used all the same; a line says that something is missing."""
    with caplog.at_level("WARNING"):
        cut_out(LoadedImage(torch.zeros(1, 3, 60, 80), alpha_of(disk(center=(25, 0)))), name="cup.png")
    assert "The object in cup.png reaches the edge" in caplog.text


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (rgba(np.zeros((30, 30), bool)), {}, "There is no object in .*empty or transparent everywhere"),
        (on(np.zeros((30, 30), bool), (255, 255, 255)), {}, "There is no object in .*a.png.*(plain)"),
        (rgba(disk(radius=2)), {}, "only 5 x 5 pixels: give a larger picture"),
        (
            rgba(disk(radius=90) & (np.indices((60, 80)).sum(0) > 0)),
            {},
            "fills all of .*leave some background",
        ),
        (Image.fromarray(noise(40, 40, 3)), {}, "pip install 'suite3d.cutout.'"),
        (Image.fromarray(noise(40, 40, 3)), {"method": "plain"}, "no background of one colour.*method=rembg"),
        (Image.fromarray(noise(40, 40, 3)), {"method": "alpha"}, "nowhere transparent.*method=auto"),
        (rgba(disk()), {"method": "magic"}, "'magic' is not one of: auto, alpha, plain, rembg"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, monkeypatch, image, options, message):
    """One line that says what to do."""
    monkeypatch.setitem(sys.modules, "rembg", None)
    with pytest.raises(UserError, match=message) as caught:
        load_cutout(saved(image, tmp_path / "a.png"), **options)
    assert "\n" not in str(caught.value)


def test_what_is_too_thin_is_refused():
    """A line of 200 x 2 pixels would be half a pixel wide."""
    where = np.zeros((20, 300), bool)
    where[9:11, 50:250] = True
    found = cut_out(LoadedImage(torch.zeros(1, 3, 20, 300), alpha_of(where)))
    with pytest.raises(UserError, match="is 200 x 2 pixels: too thin to be seen in 64 pixels"):
        frame_of(found)
    with pytest.raises(UserError, match="0.1 to 1, got 2"):
        frame_of(found, share=2.0)


def test_rembg_is_asked_last(tmp_path, monkeypatch):
    """Where nothing else works its mask is taken; where it fails, a line says so."""
    where = disk(40, 40, center=(20, 20), radius=10)
    rembg = types.ModuleType("rembg")
    rembg.remove = lambda image: Image.fromarray(np.dstack([np.asarray(image), 255 * where]).astype(np.uint8))
    monkeypatch.setitem(sys.modules, "rembg", rembg)
    path = saved(Image.fromarray(noise(40, 40, 3)), tmp_path / "a.png")
    found = load_cutout(path)
    assert found.method == "rembg" and agreement(found.alpha, where) == 1

    def fail(image):
        raise RuntimeError("no network\nno weights")

    rembg.remove = fail
    with pytest.raises(UserError, match="rembg cannot cut out .*no network no weights.*transparent around"):
        load_cutout(path)


def test_centroids_by_hand():
    """One pixel (30, 5) of 40 x 20: its middle; two pixels: between them; nothing: 0."""
    masks = torch.zeros(3, 1, 20, 40)
    masks[0, 0, 5, 30] = 2.0
    masks[1, 0, 0, 10] = masks[1, 0, 10, 10] = 0.5
    expected = torch.tensor([[30.5 / 40, 5.5 / 20], [10.5 / 40, 5.5 / 20], [0.0, 0.0]])
    torch.testing.assert_close(centroids(masks), expected)
