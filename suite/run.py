"""One run, one directory: runs/<task>/<slug>-<hash of the configuration>/.

    config.yaml       every option of every object, defaults included
    environment.json  versions, machine, commit, command
    log.txt           what was said; metrics.jsonl: one JSON object a logged step
    checkpoints/      the newest two, safetensors
    images/ meshes/ videos/   what the task makes
    report.json       measures, step time, evaluations, memory; report.html shows it all
    complete.json     written last, when the task has finished

Two commands with the same settings have the same directory; the second one resumes the first or finds it
complete. Immaterial settings (suite/settings.py) do not change what is computed and are left out of the hash.
"""

import fcntl
import json
import logging
import math
import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from suite.checkpoints import Checkpoints
from suite.environment import environment
from suite.errors import UserError
from suite.io.weights import write_atomically
from suite.settings import Settings, configuration_hash, first_difference

LOGGERS = ("suite", "priors", "nerf", "video", "py.warnings")


class Run:
    """A run directory, held by one process at a time; use as a context manager.

    Args:
        directory: Where everything goes; made if it is not there.
        task: The task's name.
        config: The resolved configuration, plain data.
        settings: What every task understands.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        task: str = "",
        config: Mapping | None = None,
        settings: Settings = Settings(),
    ) -> None:
        self.directory = Path(directory)
        self.task, self.config, self.settings = task, dict(config or {}), settings
        self.configuration = configuration_hash(task, self.config)
        self.seed = settings.seed
        self.log = logging.getLogger("suite.run")
        self.statistics: dict[
            str, Any
        ] = {}  # steps, step_seconds, evaluations: the training loop fills them in
        self._events: Any = None
        self._started = time.monotonic()

    @property
    def device(self) -> str:
        """Where to compute, "auto" resolved."""
        import torch

        if self.settings.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        if self.settings.device.startswith("cuda") and not torch.cuda.is_available():
            raise UserError(
                f"device={self.settings.device}: this machine has no CUDA device. Type device=cpu."
            )
        return self.settings.device

    @property
    def complete(self) -> bool:
        """Whether the task has finished."""
        return (self.directory / "complete.json").exists()

    def __enter__(self) -> "Run":
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.directory / ".lock", "a+")
        except OSError as error:
            reason = f"cannot be written ({error.strerror})"
            raise UserError(f"The run directory {self.directory} {reason}: type another out=DIR.") from error
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"{self.directory} is being written by another process: wait for it or stop it."
            ) from error
        try:
            self._claim()
            self._events = self._event_file() if self.settings.tensorboard else None
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(self._handler)
        self._handler.close()
        if self._events is not None:
            self._events.close()
        self._lock.close()

    def path(self, *parts: str) -> Path:
        """A path inside the run directory, its folders made."""
        path = self.directory.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def checkpoints(self, stage: str = "") -> Checkpoints:
        """The checkpoints of this run, or of one stage of it."""
        return Checkpoints(folder=self.directory / "checkpoints" / stage, configuration=self.configuration)

    def log_metrics(self, step: int, **values: float | str) -> None:
        """Appends one line to metrics.jsonl; numbers that are not finite become null."""
        with open(self.path("metrics.jsonl"), "a", encoding="utf-8") as file:
            file.write(json.dumps(finite({"step": step} | values)) + "\n")
        if self._events is not None:
            stage = f"{values['stage']}/" if "stage" in values else ""
            for name, value in values.items():
                if not isinstance(value, str):
                    self._events.add_scalar(stage + name, value, step)

    def rewind_metrics(self, step: int, stage: str = "") -> None:
        """Drops what a resumed (stage of a) run is about to log again: lines of this step and later."""
        path = self.directory / "metrics.jsonl"
        if path.exists():
            rows = [row for row in read_metrics(path) if row.get("stage", "") != stage or row["step"] < step]
            write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows))

    def write_report(self, measures: Mapping[str, Any]) -> None:
        """Writes report.json, then report.html."""
        report = {
            "task": self.task,
            "name": self.directory.name,
            "configuration": self.configuration,
            "seconds": round(time.monotonic() - self._started, 3),
            **self.statistics,
            "peak_memory_mb": max(peak_memory_mb(), self.statistics.get("peak_memory_mb", 0.0)),
            "measures": dict(measures),
            "config": self.config,
            "environment": environment(),
        }
        write_atomically(self.path("report.json"), json.dumps(finite(report), indent=2))
        try:
            from suite.report import write_html
        except ModuleNotFoundError as error:
            if error.name != "suite.report":
                raise
        else:
            write_html(self)

    def begin(self) -> None:
        """Marks the run as not complete."""
        (self.directory / "complete.json").unlink(missing_ok=True)

    def finish(self) -> None:
        """Marks the run as complete."""
        write_atomically(
            self.path("complete.json"), json.dumps({"seconds": time.monotonic() - self._started})
        )

    def _claim(self) -> None:
        """Makes the directory this run's, or refuses one of another configuration."""
        for half in self.directory.rglob(".*.part"):  # what a killed process was writing
            half.unlink(missing_ok=True)
        path = self.directory / "config.yaml"
        if path.exists():
            there = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            if configuration_hash(self.task, there) != self.configuration:
                difference = first_difference(there, self.config)
                raise UserError(
                    f"{self.directory} holds a run of another configuration ({difference}). "
                    "Choose another out=DIR, or delete it."
                )
        else:
            write_atomically(path, yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True))
        self._handler = _LogFile(self.path("log.txt"), encoding="utf-8", errors="backslashreplace")
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self._handler)
            logging.getLogger(name).setLevel(logging.INFO)
        if not self.complete:
            self._compare_environment(environment())

    def _event_file(self) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            package = "pip install 'suite3d[tensorboard]'"
            raise UserError(f"tensorboard=true needs a package: type {package}.") from error
        return SummaryWriter(str(self.directory / "tensorboard"))

    def _compare_environment(self, now: dict) -> None:
        path = self.directory / "environment.json"
        if not path.exists():
            write_atomically(path, json.dumps(now, indent=2))
            return
        before = json.loads(path.read_text(encoding="utf-8"))
        for key in ("torch", "processor", "threads"):
            if before.get(key) != now[key]:
                self.log.warning(
                    "%s was %s when this run began and is %s now.", key, before.get(key), now[key]
                )


def read_metrics(path: Path) -> list[dict]:
    """The rows of metrics.jsonl; a last line cut short by a crash is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def peak_memory_mb() -> float:
    """The most memory that this process has held, in MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)  # kilobytes on Linux


def machine_memory_mb() -> float:
    """The memory of this machine, in MiB."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20


def finite(value: Any) -> Any:
    """Plain data that every JSON reader accepts: infinities and not-a-numbers become null."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value


class _LogFile(logging.FileHandler):
    """A log file that stays silent when it cannot be written: one error about a full disk is enough."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass
