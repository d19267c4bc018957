"""What belongs to the pocket prior in this package: its motion modules with their LoRAs, and what animates stills."""

from pathlib import Path

from suite.errors import UserError
from video.motion.files import load, load_lora
from video.motion.lora import LoRA
from video.motion.modules import Motion

POCKET = Path(__file__).resolve().parent / "pocket"
LORAS = POCKET / "loras"
FILE, ANIMATOR = POCKET / "motion.safetensors", str(POCKET / "animator")


def pocket_motion() -> Motion:
    """The shipped motion modules."""
    return load(str(FILE))


def loras_in(folder: Path) -> dict[str, Path]:
    """Motion -> the file of its LoRA, which is named after it: raising_both_arms.safetensors."""
    return {path.stem.replace("_", " "): path for path in sorted(folder.glob("*.safetensors"))}


def lora_of(name: str) -> LoRA:
    """A LoRA from its file; or, of a motion's name, the shipped one of that motion.

    Raises:
        UserError: There is neither; or what `load_lora` says of the file.
    """
    motions = loras_in(LORAS)
    if Path(name).suffix or Path(name).expanduser().is_file():  # a folder may be called "running" too
        return load_lora(name)
    if name not in motions:
        raise UserError(f"There is no LoRA {name!r}: give a file, or one of: {', '.join(motions)}.")
    return load_lora(str(motions[name]))
