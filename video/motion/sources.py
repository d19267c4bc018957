"""Captioned clips to train on: a folder of videos, or those that toyworld renders."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from priors.known_words import KnownWords
from priors.loading.folders import listing
from priors.stable_diffusion import StableDiffusionPrior
from suite.errors import UserError
from suite.toyworld.clips import Clips
from suite.toyworld.dataset import real_surfaces
from suite.toyworld.motions import CLIP_MOTIONS, check_motions
from suite.toyworld.pool import ClipBatch
from video.framing import fitted
from video.video_folders import VideoFolder

FILE_COLUMNS, CAPTION_COLUMNS = ("file", "path", "video", "videoid"), ("caption", "text", "name")


@dataclass(frozen=True)
class ClipLabel:
    """What is known of a clip from a file."""

    caption: str
    file: str


class FolderClips:
    """Clips out of a folder of videos: of each the frames of one random stretch, its middle square.

    Captions are a .csv file's in the folder, with columns file (or path, video, videoid) and caption (or text, name);
    without one they are the files' names: a_red_car-03.mp4 shows "a red car".

    Args:
        folder: Of MP4, MOV, MKV, WebM, AVI, GIF or WebP files.
        frames: Of a clip.
        size: Height and width in pixels.
        every: Take each how-many-eth frame.

    Raises:
        UserError: There is no such folder, it has no videos, or its .csv file cannot be understood.
    """

    def __init__(self, folder: str | Path, *, frames: int = 16, size: int = 64, every: int = 1) -> None:
        self.videos = VideoFolder(folder, frames=frames, size=size, every=every)
        self.captions = captions_of(self.videos)

    def batch(self, count: int, seed: int, number: int) -> ClipBatch:
        """The batch of this number, each clip with its `ClipLabel`."""
        random = np.random.default_rng([seed, number])
        names = list(self.captions)
        chosen = [names[i] for i in random.integers(len(names), size=count)]
        clips = torch.stack([self.clip(name, random) for name in chosen])
        labels = tuple(ClipLabel(self.captions[name], name) for name in chosen)
        return ClipBatch(clips.movedim(2, -1).numpy(), labels)

    def clip(self, name: str, random: np.random.Generator) -> Float[Tensor, "f 3 h w"]:
        """A random stretch of one video.

        Raises:
            UserError: It is too short, or cannot be read.
        """
        video = self.videos.open(name)
        frames = video.read(self.videos.stretch(name, len(video), random))
        return fitted(frames, self.videos.size, self.videos.size)


@dataclass(frozen=True)
class ClipData:
    """Which clips a training sees.

    Args:
        videos: A folder of captioned videos (see FolderClips); empty renders toyworld.
        every: Take each how-many-eth frame of the videos.
        frames: Of a clip.
        motions: Of toyworld, one named twice twice as often; none are all whose words the prior knows.
        objects: A folder of captioned meshes that toyworld shows too, as `suite prepare_objects` makes.
        shown: So many frames of each clip are looked at in a step, the first and others at random; 0 are all.
        twins: Of toyworld: clips come in pairs of one thing that moves in two ways, under the same noise, so that what
            the words of motions change is all that differs.
        from_rest: Of toyworld: to and fro begins in the same way in each clip, so that it is soon learnt.
    """

    videos: str = ""
    every: int = 1
    frames: int = 16
    motions: tuple[str, ...] = ()
    objects: str = ""
    shown: int = 0
    twins: bool = False
    from_rest: bool = False

    def __post_init__(self) -> None:
        if self.shown == 1 or not 0 <= self.shown <= self.frames:
            raise UserError(
                f"shown is how many of the {self.frames} frames a step looks at: 0 (all) or 2 to {self.frames}, got "
                f"{self.shown}."
            )
        for name in ("twins", "from_rest"):
            if getattr(self, name) and self.videos:
                raise UserError(
                    f"Only clips of toyworld know {name}, videos do not: leave out clips.{name}=."
                )

    @property
    def alike(self) -> int:
        """So many clips after each other are of one thing, under the same noise."""
        return 2 if self.twins else 1

    def numbers(self, generator: torch.Generator) -> list[int] | None:
        """The frames that a step looks at; None for all."""
        if self.shown in (0, self.frames):
            return None
        others = torch.randperm(self.frames - 1, generator=generator)[: self.shown - 1]
        return [0, *(1 + others).sort().values.tolist()]

    def source(self, prior: StableDiffusionPrior, size: int) -> "Clips | FolderClips":
        """The clips, of `size` pixels.

        Raises:
            UserError: The folder cannot be used, a motion does not exist, or the prior knows no words for it.
        """
        if self.videos:
            return FolderClips(self.videos, frames=self.frames, size=size, every=self.every)
        motions = known_motions(prior, self.motions)
        real = real_surfaces(self.objects) if self.objects else []
        return Clips(
            real=real,
            size=size,
            frames=self.frames,
            motions=motions,
            twins=self.twins,
            from_rest=self.from_rest,
        )


def known_motions(prior: StableDiffusionPrior, asked: Sequence[str] = ()) -> tuple[str, ...]:
    """The motions that are asked for, or all of toyworld whose words the prior knows.

    Raises:
        UserError: One that is asked for does not exist, or the prior does not know its words.
    """
    if asked:
        try:
            check_motions(asked, CLIP_MOTIONS, "clips")
        except ValueError as error:
            raise UserError(str(error)) from error
    words = prior.known_words
    for motion in asked if words is not None else ():
        words.refuse_unknown(motion)
    return tuple(asked) or tuple(m for m in CLIP_MOTIONS if words is None or _known(words, m))


def _known(words: KnownWords, text: str) -> bool:
    try:
        words.refuse_unknown(text)
    except UserError:
        return False
    return True


def captions_of(videos: VideoFolder) -> dict[str, str]:
    """File name -> caption of the videos in a folder.

    Raises:
        UserError: Its .csv file cannot be understood.
    """
    folder, files = videos.folder, videos.names
    tables = sorted(folder.glob("*.csv"))
    if not tables:
        return {name: caption_of_name(Path(name).stem) for name in files}
    if len(tables) > 1:
        raise UserError(f"{folder} has several .csv files ({listing([t.name for t in tables])}): leave one.")
    return _table(tables[0], files)


def caption_of_name(stem: str) -> str:
    """a_red_car-03 -> "a red car"."""
    return re.sub(r"[\s_\-.]*\d*$", "", re.sub(r"[_]+", " ", stem)).strip()


def _table(path: Path, files: Sequence[str]) -> dict[str, str]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0]) if rows else []
    where = next((c for c in FILE_COLUMNS if c in columns), None)
    said = next((c for c in CAPTION_COLUMNS if c in columns), None)
    if where is None or said is None:
        raise UserError(
            f"{path} needs columns file and caption in its first line; it has: {listing(columns)}."
        )
    known = {name: name for name in files} | {Path(name).stem: name for name in files}
    captions = {known[row[where]]: row[said] or "" for row in rows if row[where] in known}
    if not captions:
        raise UserError(f"{path} names none of the videos beside it: its first is {rows[0][where]!r}.")
    return captions
