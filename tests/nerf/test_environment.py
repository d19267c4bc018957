"""Maps of light: directions, files."""

import math

import numpy as np
import pytest
import torch

from nerf.environment import coordinates, directions, environment, hdr_pixels, read_radiance, solid_angles
from suite.errors import UserError
from suite.io.images import write_image


def test_directions_of_a_map():
    """The middle looks along +X, the left quarter along +Y, the top up; texels cover the sphere once."""
    towards = directions(256, 512)
    torch.testing.assert_close(towards[128, 256], torch.tensor([1.0, 0, 0]), atol=0.02, rtol=0)
    torch.testing.assert_close(towards[128, 128], torch.tensor([0.0, 1, 0]), atol=0.02, rtol=0)
    torch.testing.assert_close(towards[0, 9], torch.tensor([0.0, 0, 1]), atol=0.02, rtol=0)
    assert float(solid_angles(32, 64).sum()) == pytest.approx(4 * math.pi, rel=1e-5)
    at = coordinates(towards)
    rows, columns = (2 * (torch.arange(n) + 0.5) / n - 1 for n in (256, 512))
    torch.testing.assert_close(at[..., 1], rows[:, None].expand(256, 512), atol=1e-3, rtol=0)
    torch.testing.assert_close(at[..., 0], columns.expand(256, 512), atol=1e-3, rtol=0)


def rgbe(values: np.ndarray) -> np.ndarray:
    """Ward's encoding, pixel by pixel."""
    out = np.zeros((*values.shape[:2], 4), np.uint8)
    for place in np.ndindex(values.shape[:2]):
        largest = values[place].max()
        if largest > 1e-32:
            fraction, exponent = math.frexp(largest)
            out[place] = [*(values[place] * fraction * 256 / largest).astype(np.uint8), exponent + 128]
    return out


HEAD = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\nEXPOSURE=1\n\n-Y %d +X %d\n"


def packed(pixels: np.ndarray) -> bytes:
    """Run-length encoding: equal bytes as a run, others one by one."""
    out = b""
    for row in pixels:
        out += bytes([2, 2, len(row) // 256, len(row) % 256])
        for channel in row.T.tolist():
            at = 0
            while at < len(channel):
                count = 1
                while at + count < len(channel) and count < 127 and channel[at + count] == channel[at]:
                    count += 1
                out += bytes([128 + count, channel[at]]) if count > 1 else bytes([1, channel[at]])
                at += count
    return out


def test_hdr_files(tmp_path):
    """Plain and run-length encoded, both to the precision of the format: a 256th of the largest channel."""
    values = np.random.default_rng(0).random((8, 16, 3)).astype(np.float32) * 30
    values[2:5, 3:9] = [12.0, 0.25, 0.001]
    pixels = rgbe(values)
    for body in (pixels.tobytes(), packed(pixels)):
        (tmp_path / "a.hdr").write_bytes(HEAD % (8, 16) + body)
        found = read_radiance(tmp_path / "a.hdr").movedim(0, -1).numpy()
        assert np.abs(found - values).max(-1) == pytest.approx(0, abs=30 / 128)
        np.testing.assert_array_less(np.abs(found - values).max(-1), values.max(-1) / 127)
    radiance = environment(str(tmp_path / "a.hdr"), exposure=1.0)
    assert radiance.shape == (3, 64, 128)
    assert float((radiance * solid_angles(64, 128)).sum() / (12 * math.pi)) == pytest.approx(1, rel=1e-3)


def test_a_picture_is_taken_for_srgb(tmp_path):
    """sRGB 0.5 is 0.2140 of linear light."""
    write_image(tmp_path / "grey.png", torch.full((3, 8, 16), 0.5))
    torch.testing.assert_close(
        read_radiance(tmp_path / "grey.png"), torch.full((3, 8, 16), 0.214), atol=3e-3, rtol=0
    )


def test_bad_files(tmp_path):
    """Each is answered in one line."""
    with pytest.raises(
        UserError, match="'stduio' is not an environment: studio, sky, uniform, or a lat-long"
    ):
        environment("stduio")
    with pytest.raises(UserError, match="There is no environment map at"):
        environment(str(tmp_path / "none.hdr"))
    with pytest.raises(UserError, match="is not a Radiance RGB picture"):
        hdr_pixels(b"hello")
    with pytest.raises(UserError, match="says that it has 999999 x 999999 pixels"):
        hdr_pixels(HEAD % (999999, 999999))
    whole = HEAD % (8, 16) + packed(rgbe(np.random.default_rng(0).random((8, 16, 3))))
    for cut in (len(whole) - 3, len(whole) // 2):
        with pytest.raises(UserError, match="is cut short or damaged"):
            hdr_pixels(whole[:cut])
    (tmp_path / "a.exr").write_bytes(b"x")
    with pytest.raises(UserError, match="convert it to Radiance .hdr first"):
        read_radiance(tmp_path / "a.exr")
    write_image(tmp_path / "square.png", torch.zeros(3, 8, 8))
    with pytest.raises(UserError, match="is 8 x 8: a lat-long environment map is twice as wide as high"):
        read_radiance(tmp_path / "square.png")
    write_image(tmp_path / "black.png", torch.zeros(3, 8, 16))
    with pytest.raises(UserError, match="has a mean radiance of 0: take one with light in it"):
        environment(str(tmp_path / "black.png"))
