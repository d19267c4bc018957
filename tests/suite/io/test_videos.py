import sys

import pytest
import torch
from PIL import Image

from suite.errors import UserError
from suite.io.videos import VideoFile, read_video, write_video


def ramps(count: int, height: int, width: int) -> torch.Tensor:
    """Smooth frames, each of its own brightness, so that a frame can be told from its neighbours."""
    x, y = torch.linspace(0.1, 0.6, width), torch.linspace(0, 0.2, height)
    base = (x[None, :] + y[:, None]).expand(count, 3, height, width)
    return base + torch.linspace(0, 0.2, count)[:, None, None, None]


@pytest.fixture(scope="module")
def mp4(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    write_video(path, ramps(12, 32, 64), 10)
    return path


@pytest.mark.parametrize("backend", ["decord", "imageio"])
def test_mp4_there_and_back(mp4, backend):
    """Frames, size and rate survive; H.264 changes smooth pictures by less than 3 %."""
    if backend == "decord":
        pytest.importorskip("decord")
    video = read_video(mp4, backend=backend)
    assert video.fps == pytest.approx(10, rel=0.01)
    torch.testing.assert_close(video.frames, ramps(12, 32, 64), atol=0.03, rtol=0)
    assert [p.name for p in mp4.parent.iterdir()] == ["a.mp4"]


def test_both_readers_give_the_same_frames(mp4):
    """decord and ffmpeg through imageio decode alike."""
    pytest.importorskip("decord")
    one, two = (VideoFile(mp4, backend=b).read([0, 5, 11]) for b in ("decord", "imageio"))
    torch.testing.assert_close(one, two, atol=0.02, rtol=0)


def test_odd_sizes_are_padded_by_repetition(tmp_path):
    """31 x 47 becomes 32 x 48: the last row and column twice. Nothing is scaled."""
    frames = ramps(3, 31, 47)
    write_video(tmp_path / "a.mp4", frames, 5)
    back = read_video(tmp_path / "a.mp4").frames
    padded = torch.nn.functional.pad(frames, (0, 1, 0, 1), mode="replicate")
    torch.testing.assert_close(back, padded, atol=0.03, rtol=0)


@pytest.mark.parametrize("width", [16, 40, 48, 50, 72, 100])
def test_widths_that_decord_misreads(tmp_path, width):
    """Row padding is not taken for colour (dmlc/decord issue 336): any width reads right with "auto"."""
    write_video(tmp_path / "a.mp4", ramps(3, 32, width), 5)
    torch.testing.assert_close(read_video(tmp_path / "a.mp4").frames, ramps(3, 32, width), atol=0.03, rtol=0)


@pytest.mark.parametrize(("suffix", "tolerance"), [(".gif", 0.2), (".webp", 0.06)])
def test_animations_keep_any_size(tmp_path, suffix, tolerance):
    """GIF (256 dithered colours) and WebP: odd sizes, number of frames, rate."""
    frames = ramps(5, 9, 7)
    write_video(tmp_path / f"a{suffix}", frames, 8)
    video = read_video(tmp_path / f"a{suffix}")
    assert video.fps == pytest.approx(8, rel=0.02)
    torch.testing.assert_close(video.frames, frames, atol=tolerance, rtol=0)


def test_gif_times_add_up(tmp_path):
    """At 30 fps hundredths of a second cannot hold 33.3 ms: frames of 30 and 40 ms sum to one second."""
    frames = torch.rand(30, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    write_video(tmp_path / "a.gif", frames, 30)
    with Image.open(tmp_path / "a.gif") as file:
        durations = []
        for k in range(file.n_frames):
            file.seek(k)
            durations.append(file.info["duration"])
    assert sum(durations) == 1000 and set(durations) == {30, 40}


def test_frames_in_any_order(mp4):
    """`read` gives what is asked, in that order, also twice; `size` is (height, width)."""
    file = VideoFile(mp4)
    frames = file.read([7, 2, 7])
    torch.testing.assert_close(frames, ramps(12, 32, 64)[[7, 2, 7]], atol=0.03, rtol=0)
    assert file.size == (32, 64) and len(file) == 12


def test_start_count_every(mp4):
    """Every second frame from 1 on, three of them: 1, 3, 5 at half the rate."""
    video = read_video(mp4, start=1, every=2, count=3)
    torch.testing.assert_close(video.frames, ramps(12, 32, 64)[[1, 3, 5]], atol=0.03, rtol=0)
    assert video.fps == pytest.approx(5, rel=0.01)


def test_without_decord_imageio_reads(mp4, monkeypatch):
    """backend="auto" falls back when decord cannot be imported."""
    monkeypatch.setitem(sys.modules, "decord", None)
    assert VideoFile(mp4).backend == "imageio"


def test_errors(tmp_path, mp4):
    """Each bad file or argument gets one line."""
    with pytest.raises(FileNotFoundError, match="There is no video at .*nothing.mp4"):
        read_video(tmp_path / "nothing.mp4")
    (tmp_path / "text.mp4").write_text("hello")
    (tmp_path / "text.gif").write_text("hello")
    for name in ("text.mp4", "text.gif"):
        with pytest.raises(UserError, match=f"{name} is not a video that"):
            read_video(tmp_path / name)
    with pytest.raises(UserError, match="text.mp4 is not a video that imageio can read"):
        read_video(tmp_path / "text.mp4", backend="imageio")
    with pytest.raises(UserError, match="has frames 0 to 11, not 12"):
        VideoFile(mp4).read([3, 12])
    with pytest.raises(UserError, match="has 12 frames: too few for start=10, every=1, count=3"):
        read_video(mp4, start=10, count=3)
    with pytest.raises(ValueError, match="start >= 0, every >= 1, count >= 1; got 0, 0, None"):
        read_video(mp4, every=0)
    with pytest.raises(ValueError, match="'auto', 'decord' or 'imageio', not 'cv2'"):
        VideoFile(mp4, backend="cv2")
    with pytest.raises(ValueError, match="written as .mp4, .gif or .webp, not 'a.avi'"):
        write_video(tmp_path / "a.avi", ramps(1, 2, 2), 5)
    with pytest.raises(ValueError, match="at least one frame"):
        write_video(tmp_path / "a.mp4", ramps(1, 2, 2)[:0], 5)
    with pytest.raises(ValueError, match="fps > 0, got 0"):
        write_video(tmp_path / "a.mp4", ramps(1, 2, 2), 0)
    with pytest.raises(ValueError, match="not finite"):
        write_video(tmp_path / "a.mp4", ramps(1, 2, 2) * float("nan"), 5)
