"""Video files: round trips of every format, streaming, resampling, and files as they should not be."""

import subprocess
import sys

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from suite.errors import UserError
from suite.io.video_readers import READERS
from suite.io.videos import Video, VideoFile, read_video, shown_at, write_video


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


@pytest.mark.parametrize("backend", ["decord", "pyav", "imageio"])
def test_mp4_there_and_back(mp4, backend):
    """Frames, size and rate survive; H.264 changes smooth pictures by less than 3 %."""
    if backend != "imageio":
        pytest.importorskip({"pyav": "av"}.get(backend, backend))
    video = read_video(mp4, backend=backend)
    assert video.fps == pytest.approx(10, rel=0.01)
    torch.testing.assert_close(video.frames, ramps(12, 32, 64), atol=0.03, rtol=0)
    assert [p.name for p in mp4.parent.iterdir()] == ["a.mp4"]


def test_both_readers_give_the_same_frames(mp4):
    """decord and ffmpeg through imageio decode alike."""
    pytest.importorskip("decord")
    one, two = (VideoFile(mp4, backend=b).read([0, 5, 11]) for b in ("decord", "imageio"))
    torch.testing.assert_close(one, two, atol=0.02, rtol=0)


def test_odd_sizes_are_kept(tmp_path):
    """31 x 47 is written as 32 x 48 (H.264 halves its colours), the last row and column twice, and read as 31 x 47."""
    frames = ramps(3, 31, 47)
    write_video(tmp_path / "a.mp4", frames, 5)
    for backend in ("imageio", "auto"):
        back = read_video(tmp_path / "a.mp4", backend=backend).frames
        torch.testing.assert_close(back, frames, atol=0.03, rtol=0)
    stored = READERS["imageio"](tmp_path / "a.mp4").read([0])
    assert stored.shape == (1, 32, 48, 3)
    assert np.abs(stored[0, -1].astype(int) - stored[0, -2]).max() < 8


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


def test_without_decord_others_read(mp4, monkeypatch):
    """backend="auto" falls back when decord cannot be imported, and when PyAV cannot either."""
    monkeypatch.setitem(sys.modules, "decord", None)
    assert VideoFile(mp4).backend in ("pyav", "imageio")
    monkeypatch.setitem(sys.modules, "av", None)
    assert VideoFile(mp4).backend == "imageio"


@pytest.mark.parametrize("name", ["frames", "a.webp"])
def test_lossless_formats_are_exact(tmp_path, name):
    """A folder of PNG pictures, and WebP with lossless=True: every bit, odd sizes, and the rate."""
    frames = torch.randint(0, 256, (12, 3, 7, 9), generator=torch.Generator().manual_seed(0)) / 255
    write_video(tmp_path / name, frames, 12.5, lossless=True)
    video = read_video(tmp_path / name)
    assert torch.equal(video.frames, frames)
    assert video.fps == pytest.approx(12.5, rel=0.02)


def test_a_folder_is_written_anew(tmp_path):
    """A shorter video leaves none of the pictures of a longer one, and other files alone; 10 comes after 9."""
    write_video(tmp_path / "a", ramps(12, 8, 8), 4)
    (tmp_path / "a" / "notes.txt").write_text("mine")
    write_video(tmp_path / "a", ramps(5, 8, 8), 4)
    assert len(VideoFile(tmp_path / "a")) == 5 and (tmp_path / "a" / "notes.txt").exists()
    for k, path in enumerate(sorted((tmp_path / "a").glob("*.png"))):
        path.rename(tmp_path / "a" / f"frame_{8 + k}.png")
    torch.testing.assert_close(read_video(tmp_path / "a").frames, ramps(5, 8, 8), atol=0.003, rtol=0)


def test_psnr_of_mp4(mp4):
    """Visually lossless: smooth frames come back at 35 dB or more."""
    error = (read_video(mp4).frames - ramps(12, 32, 64)).square().mean((1, 2, 3))
    assert float(-10 * error.log10().max()) > 35


@pytest.mark.parametrize("backend", ["decord", "pyav", "imageio"])
def test_chunks_are_the_whole(mp4, backend):
    """Runs of 5 that overlap by 1 are frames 0-4, 4-8, 8-11: all frames in order, each read once."""
    if backend != "imageio":
        pytest.importorskip({"pyav": "av"}.get(backend, backend))
    file = VideoFile(mp4, backend=backend)
    whole, runs = file.read(), list(file.chunks(5, overlap=1))
    assert [len(run) for run in runs] == [5, 5, 4]
    for run, begin in zip(runs, (0, 4, 8)):
        assert torch.equal(run, whole[begin : begin + 5])
    assert torch.equal(torch.cat(list(file.chunks(5, stop=7))), whole[:7])
    assert [len(run) for run in file.chunks(6, overlap=1, stop=1)] == [1]


def test_resampling():
    """At half the rate every second frame; at twice the rate each twice; 3 of 12 are frames 0, 4 and 8."""
    video = Video(ramps(12, 2, 2), 10)
    assert torch.equal(video.resampled(fps=5).frames, video.frames[::2])
    assert torch.equal(video.resampled(fps=20).frames, video.frames.repeat_interleave(2, 0))
    short = video.resampled(count=3)
    assert torch.equal(short.frames, video.frames[[0, 4, 8]]) and short.fps == pytest.approx(2.5)
    assert shown_at(np.array([0.0, 0.1, 1.0]), 2.0, 2).tolist() == [0, 1, 2, 2]


def test_read_at_a_rate(mp4):
    """fps=5 of a file of 10 fps is every second frame; from frame 2 on, three of them: 2, 4, 6."""
    video = read_video(mp4, start=2, fps=5, count=3)
    torch.testing.assert_close(video.frames, ramps(12, 32, 64)[[2, 4, 6]], atol=0.03, rtol=0)
    assert video.fps == 5


def ffmpeg(*arguments):
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *map(str, arguments)], check=True)


def test_a_variable_rate(tmp_path, mp4, caplog):
    """Six frames of 0.1 s, then six of 0.3 s: true times are read, and fps=10 shows the later ones three times."""
    path = tmp_path / "vfr.mp4"
    times = "setpts='if(lt(N,6),N*0.1,0.6+(N-6)*0.3)/TB'"
    ffmpeg(
        "-i",
        mp4,
        "-vf",
        f"settb=1/1000,{times}",
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        "1/1000",
        path,
    )
    file = VideoFile(path)
    assert len(file) == 12 and file.variable and not VideoFile(mp4).variable
    np.testing.assert_allclose(
        file.times, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1], atol=0.01
    )
    video = read_video(path, fps=10, count=18)
    order = [0, 1, 2, 3, 4, 5, *(k for k in (6, 7, 8, 9) for _ in range(3))]
    torch.testing.assert_close(video.frames, ramps(12, 32, 64)[order], atol=0.03, rtol=0)
    read_video(path)
    assert "are shown for different times; fps=" in caplog.text


def test_one_frame(tmp_path):
    """A single frame is a video of every format."""
    for name in ("a.mp4", "a.gif", "a.webp", "a"):
        write_video(tmp_path / name, ramps(1, 16, 24), 6)
        video = read_video(tmp_path / name)
        assert video.frames.shape == (1, 3, 16, 24) and video.fps > 0


def test_files_that_hold_no_pictures(tmp_path):
    """Empty, cut before anything can be read, sound only, an empty folder, pictures of two sizes: one line each."""
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(UserError, match=r"empty.mp4 is empty \(0 bytes\): copy or download it again"):
        VideoFile(tmp_path / "empty.mp4")
    ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", tmp_path / "sound.mp4")
    with pytest.raises(
        UserError, match="sound.mp4 has sound but no pictures: give a file with a video track"
    ):
        VideoFile(tmp_path / "sound.mp4")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match="nothing is no video: it holds no pictures"):
        VideoFile(tmp_path / "nothing")
    write_video(tmp_path / "two", ramps(2, 8, 8), 4)
    Image.new("RGB", (5, 6)).save(tmp_path / "two" / "00002.png")
    with pytest.raises(UserError, match="two is no video: 00002.png has 5 x 6 pixels, not 8 x 8"):
        VideoFile(tmp_path / "two").read()


@pytest.mark.parametrize("name", ["text.mp4", "text.txt"])
def test_what_no_decoder_reads_is_said_once(tmp_path, caplog, capfd, name):
    """No decoder's own complaint stands before the one line of the error."""
    (tmp_path / name).write_text("hello")
    with caplog.at_level("INFO"), pytest.raises(UserError, match=f"{name} is not a video that"):
        VideoFile(tmp_path / name)
    printed = capfd.readouterr()
    assert not caplog.messages and not printed.out and not printed.err


@pytest.mark.parametrize("backend", ["auto", "pyav", "imageio"])
def test_a_file_that_is_cut_short(tmp_path, backend):
    """Half of an MP4 gives the frames that are there; a head without frames says what to do."""
    if backend == "pyav":
        pytest.importorskip("av")
    noise = torch.rand(24, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    write_video(tmp_path / "a.mp4", noise, 10)
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(data[: len(data) // 2])
    file = VideoFile(tmp_path / "half.mp4", backend=backend)
    assert 4 <= len(file) < 24
    assert len(file.read()) == len(file)
    (tmp_path / "head.mp4").write_bytes(data[:200])
    with pytest.raises(
        UserError, match=r"head.mp4 is not a video .* or is cut short .*ffmpeg -i IN -c:v libx264"
    ):
        VideoFile(tmp_path / "head.mp4", backend=backend)


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
    with pytest.raises(ValueError, match="'auto', 'decord', 'pyav' or 'imageio', not 'cv2'"):
        VideoFile(mp4, backend="cv2")
    with pytest.raises(
        ValueError, match="written as .mp4, .gif or .webp, or as a folder of pictures, not 'a.avi'"
    ):
        write_video(tmp_path / "a.avi", ramps(1, 2, 2), 5)
    with pytest.raises(ValueError, match="at least one frame"):
        write_video(tmp_path / "a.mp4", ramps(1, 2, 2)[:0], 5)
    with pytest.raises(ValueError, match="fps > 0, got 0"):
        write_video(tmp_path / "a.mp4", ramps(1, 2, 2), 0)
    with pytest.raises(ValueError, match="not finite"):
        write_video(tmp_path / "a.mp4", ramps(1, 2, 2) * float("nan"), 5)
    with pytest.raises(
        ValueError, match=".gif is not written without loss: write a .webp or a folder of pictures"
    ):
        write_video(tmp_path / "a.gif", ramps(1, 2, 2), 5, lossless=True)
    (tmp_path / "plain").write_text("hello")
    with pytest.raises(ValueError, match="plain is a file: a folder of pictures cannot be written there"):
        write_video(tmp_path / "plain", ramps(1, 2, 2), 5)
    with pytest.raises(ValueError, match="takes every=N or fps=N, not both"):
        read_video(mp4, every=2, fps=5)
    with pytest.raises(ValueError, match="0 <= overlap < count, got 3 and 3"):
        next(VideoFile(mp4).chunks(3, overlap=3))
    with pytest.raises(ValueError, match="to a rate .fps. or to a number of frames .count.: give one"):
        Video(ramps(1, 2, 2), 5).resampled()
    with pytest.raises(ValueError, match="fps > 0, got -1"):
        Video(ramps(1, 2, 2), 5).resampled(fps=-1)
