"""Captioned clips: folders of videos, and toyworld's in words that the prior knows."""

import numpy as np
import pytest

from priors.stable_diffusion import load
from suite.errors import UserError
from video.motion.sources import ClipData, FolderClips, caption_of_name


def test_a_folder_gives_the_frames_of_its_files(videos):
    """Batches follow from seed and number, in the clip's own order, scaled to their middle square."""
    clips = FolderClips(videos, frames=2, size=24, every=2)
    batch, again = clips.batch(6, 0, 1), clips.batch(6, 0, 1)
    assert batch.images.shape == (6, 2, 24, 24, 3) and batch.images.dtype == np.float32
    assert np.array_equal(batch.frames, again.frames) and batch.labels == again.labels
    assert not np.array_equal(batch.frames, clips.batch(6, 0, 2).frames)
    from suite.io.videos import read_video

    for frames, label in zip(batch.frames, batch.labels):
        whole = read_video(videos / label.file).frames[..., 4:28].movedim(1, -1).numpy()
        assert any(np.array_equal(frames, whole[[k, k + 2]]) for k in (0, 1))
        assert (
            label.caption
            == {"a_red_c": "a red car", "a_blue_": "a blue car", "a_red_m": "a red mushroom"}[label.file[:7]]
        )


def test_captions_of_names_and_tables(videos):
    """Digits at the end of a name only number it; a table's columns may be WebVid's."""
    assert [caption_of_name(name) for name in ("a_car-03", "a car 7", "two cars", "12")] == [
        "a car",
        "a car",
        "two cars",
        "",
    ]
    (videos / "list.csv").write_text("videoid,name\na_red_car-1,a shiny car\nelsewhere,nothing\n")
    assert FolderClips(videos, frames=1).captions == {"a_red_car-1.gif": "a shiny car"}


def test_folders_that_cannot_be_used(videos, tmp_path):
    """No folder, no videos, no table that can be read, too short a clip: one line each."""
    with pytest.raises(UserError, match="There is no folder of videos at .*none"):
        FolderClips(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no videos"):
        FolderClips(tmp_path / "empty")
    with pytest.raises(UserError, match="frames, size and every must be positive, got 0, 64 and 1"):
        FolderClips(videos, frames=0)
    with pytest.raises(
        UserError, match=r"has 4 frames, and 3 at every=2 take 5. Take fewer frames, a smaller every"
    ):
        FolderClips(videos, frames=3, every=2).batch(1, 0, 0)
    (videos / "a.csv").write_text("who,what\nx,y\n")
    with pytest.raises(
        UserError, match="needs columns file and caption in its first line; it has: who, what"
    ):
        FolderClips(videos)
    (videos / "a.csv").write_text("file,caption\nx.gif,y\n")
    with pytest.raises(UserError, match="names none of the videos beside it: its first is 'x.gif'"):
        FolderClips(videos)
    (videos / "b.csv").write_text("")
    with pytest.raises(UserError, match=r"has several .csv files \(a.csv, b.csv\)"):
        FolderClips(videos)


def test_toyworld_in_known_words():
    """By default only motions whose words the prior has seen; others are refused by name."""
    prior = load("pocket")
    clips = ClipData(frames=2).source(prior, 16)
    batch = clips.batch(2, 0, 0)
    assert batch.frames.shape == (2, 2, 16, 16, 3)
    shown = {motion for motions in clips.motions.values() for motion in motions}
    assert {"spinning", "bouncing"} <= shown
    for label in clips.batch(4, 0, 1).labels:
        prior.known_words.refuse_unknown(label.caption)
    for motion, said in (
        ("orbiting", "This prior has never seen 'orbiting'"),
        ("juggling", "got 'juggling'"),
    ):
        with pytest.raises(UserError, match=said):
            ClipData(motions=(motion,)).source(prior, 16)
