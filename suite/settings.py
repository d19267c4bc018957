"""What every task understands beside its own options, and how a configuration names its run directory."""

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.errors import UserError

# Settings that do not change what is computed: they are left out of the configuration's hash.
IMMATERIAL = ("out", "device", "save_every", "previews", "tensorboard")


@dataclass(frozen=True)
class Settings:
    """What every task understands.

    Args:
        seed: Everything random follows from it.
        device: "auto" (CUDA if there is one, else CPU), "cpu", "cuda" or "cuda:1".
        out: The run directory; by default runs/<task>/<slug>-<hash of the configuration>.
        save_every: Seconds between checkpoints, or a number of steps as "100 steps".
        previews: How many times pictures are made while it runs.
        tensorboard: Also write TensorBoard's event files (needs pip install 'suite3d[tensorboard]').
    """

    seed: int = 0
    device: str = "auto"
    out: str | None = None
    save_every: float | str = 60.0
    previews: int = 10
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0 or self.previews < 0:
            raise UserError(f"seed and previews must not be negative, got {self.seed} and {self.previews}.")
        if self.device not in ("auto", "cpu") and not re.fullmatch(r"(cuda|xpu|mps)(:\d+)?", self.device):
            raise UserError(f"device must be auto, cpu, cuda or cuda:N, got {self.device!r}.")
        self.save_interval  # noqa: B018 (raises if it cannot be read)

    @property
    def save_interval(self) -> tuple[float, int]:
        """(seconds, steps) between checkpoints; one of them is infinite or 0."""
        text = str(self.save_every)
        number, _, unit = text.partition(" ")
        if unit in ("step", "steps") and number.isdigit() and int(number) > 0:
            return math.inf, int(number)
        if re.fullmatch(r"\d+(\.\d*)?", text):
            return float(text), 0
        raise UserError(f"save_every is a number of seconds, or steps as '100 steps', got {text!r}.")


def configuration_hash(task: str, config: Mapping[str, Any]) -> str:
    """Eight hex digits over the task and every setting that changes what is computed."""
    material = {key: value for key, value in config.items() if key not in IMMATERIAL}
    text = json.dumps([task, material], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def run_directory(task: str, config: Mapping[str, Any]) -> Path:
    """Where the run of this configuration lies unless `out` says otherwise, below the current folder."""
    return Path(config.get("out") or f"runs/{task}/{slug(config)}-{configuration_hash(task, config)}")


def slug(config: Mapping[str, Any]) -> str:
    """A few words that tell a run from its neighbours: its prompt, what it reads, or its prior's class."""
    for key in ("prompt", "text", "name", "image", "video", "data", "scene", "prior"):
        value = config.get(key)
        if isinstance(value, dict):  # an object: its first text option, or its class
            texts = [text for name, text in value.items() if name != "_target_" and isinstance(text, str)]
            value = texts[0] if texts else value.get("_target_", "").rpartition(".")[2]
        if isinstance(value, str) and value:
            is_file = os.sep in value or re.fullmatch(r"\S+\.\w{1,5}", value)
            words = re.sub(r"[^a-z0-9]+", "-", (Path(value).stem if is_file else value).lower())
            return words.strip("-")[:40].strip("-") or "run"
    return "run"


def first_difference(there: Any, here: Any, key: str = "") -> str:
    """Where two configurations differ first, in words; `key` is the path to them."""
    if isinstance(there, dict) and isinstance(here, dict):
        for name in [*here, *(name for name in there if name not in here)]:
            if there.get(name) != here.get(name) and name not in IMMATERIAL:
                return first_difference(there.get(name), here.get(name), f"{key}.{name}".lstrip("."))
    return f"{key} is {there!r} there and {here!r} here"
