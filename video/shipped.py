"""What belongs to the pocket prior in this package: its motion modules, and what animates stills with it."""

from pathlib import Path

from suite.errors import UserError
from video.motion.files import load
from video.motion.modules import Motion

POCKET = Path(__file__).resolve().parent / "pocket"
FILE, ANIMATOR = POCKET / "motion.safetensors", POCKET / "animator"


def pocket_motion() -> Motion:
    """The shipped motion modules."""
    return load(str(FILE))


def pocket_animator() -> str:
    """The folder of the shipped animator.

    Raises:
        UserError: It is not there.
    """
    if not ANIMATOR.exists():
        raise UserError(
            "The pocket prior's own animator is not trained yet: train one with suite train_animate and type "
            "animator=RUN/animator."
        )
    return str(ANIMATOR)
