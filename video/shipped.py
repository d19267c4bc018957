"""What belongs to the pocket prior in this package: its motion modules, and what animates stills with it."""

from pathlib import Path

from suite.errors import UserError
from video.motion.files import load
from video.motion.modules import Motion

POCKET = Path(__file__).resolve().parent / "pocket"
FILE, ANIMATOR = POCKET / "motion.safetensors", POCKET / "animator"


def pocket_motion(path: str = "") -> Motion:
    """The shipped motion modules.

    Args:
        path: Take another file of them.

    Raises:
        UserError: They are not there.
    """
    place = Path(path).expanduser() if path else FILE
    if not place.exists():
        raise UserError(
            "The pocket prior's own motion modules are not trained yet: train them with suite train_motion and type "
            "motion=file motion.path=RUN/motion.safetensors, or type motion=null for frames that do not know of "
            "each other."
        )
    return load(str(place))


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
