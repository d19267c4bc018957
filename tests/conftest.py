"""What all tests share: one thread, no network, the toy tasks, the command line called in this process."""

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import hypothesis
import pytest

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS / "toys"))
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("suite")


class Outcome(NamedTuple):
    """What a command left: its exit status, the lines it printed, what it said on stderr."""

    status: int
    lines: list[str]
    errors: str

    @property
    def directory(self) -> Path:
        """The run directory, the last line printed."""
        return Path(self.lines[-1])


@pytest.fixture
def open3d() -> ModuleType:
    """Open3D, which needs libraries of the system; without them what uses it is not tested."""
    return pytest.importorskip("open3d", exc_type=ImportError)


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> Callable[..., Outcome]:
    """Calls `suite` with the words of a shell line, in a fresh folder, knowing the toy tasks too."""
    from suite.__main__ import main

    monkeypatch.chdir(tmp_path)

    def call(line: str = "", *words: str) -> Outcome:
        capsys.readouterr()
        status = main(["--config-dir", str(TESTS / "configs"), *shlex.split(line), *words])
        printed = capsys.readouterr()
        return Outcome(status, printed.out.splitlines(), printed.err)

    return call
