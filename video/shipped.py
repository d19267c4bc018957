"""What belongs to the pocket prior in this package: its motion modules, and what animates stills with it."""

from pathlib import Path

from video.motion.files import load
from video.motion.modules import Motion

POCKET = Path(__file__).resolve().parent / "pocket"
FILE, ANIMATOR = POCKET / "motion.safetensors", str(POCKET / "animator")


def pocket_motion() -> Motion:
    """The shipped motion modules."""
    return load(str(FILE))
