"""How the loop shows where it is."""

import io
import sys

from suite.progress import Progress
from suite.run import Run


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_line_every_tenth(tmp_path, caplog):
    """Not on a terminal: ten lines however many steps, the last one at the end, with the numbers."""
    caplog.set_level("INFO", "suite.run")
    with Progress(Run(tmp_path), 250, 0, "coarse") as progress:
        for step in range(250):
            progress.update(step, {"loss": 1 / (step + 1)})
    assert len(caplog.messages) == 10
    assert caplog.messages[0].startswith("coarse step 25 of 250") and "loss 0.04" in caplog.messages[0]
    assert caplog.messages[-1].startswith("coarse step 250 of 250")


def test_a_bar_on_a_terminal(tmp_path, monkeypatch, caplog):
    """On a terminal: a bar with steps and numbers, which starts where a resumed run does, and no lines."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "120")
    caplog.set_level("INFO", "suite.run")
    with Progress(Run(tmp_path), 20, 15) as progress:
        for step in range(15, 20):
            progress.update(step, {"loss": 0.5})
    assert "20/20" in sys.stderr.getvalue() and "loss 0.5" in sys.stderr.getvalue()
    assert not caplog.messages
