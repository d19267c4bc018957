"""The machine and the versions that a run was made with."""

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import torch

PACKAGES = ("numpy", "numba", "nerfacc", "diffusers", "transformers", "safetensors", "trimesh", "scipy")


def environment() -> dict:
    """Versions, processor, device, git commit, command and time, as plain data."""
    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": git_commit(Path(__file__).parent),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: version for name in PACKAGES if (version := _version(name))},
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def git_commit(folder: Path) -> str | None:
    """The commit of the source, with '+changes' if it was edited since; None outside a git repository."""

    def git(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10)

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        if commit.returncode != 0:
            return None
        return commit.stdout.strip() + ("+changes" if git("diff", "--quiet", "HEAD").returncode else "")
    except (OSError, subprocess.TimeoutExpired):
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
