"""How far the loop is: a bar on a terminal, a line every tenth elsewhere."""

import sys
import time
from typing import Any

from suite.run import Run


class Progress:
    """Shows steps, time a step, time left and the step's numbers; use as a context manager.

    Args:
        run: Its log gets the lines.
        steps: How many steps there are.
        start: How many are done.
        name: Shown before the bar, for a task of several stages.
    """

    def __init__(self, run: Run, steps: int, start: int = 0, name: str = "") -> None:
        self.run, self.steps, self.start, self.name = run, steps, start, name
        self.bar = None
        self.begun = time.monotonic()

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty():
            self.bar = _rich_bar(len(str(self.steps)))
            self.bar.start()
            self.line = self.bar.add_task(self.name, total=self.steps, completed=self.start, numbers="")
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def update(self, step: int, values: dict[str, float]) -> None:
        """Called after step number `step` (from 0) with its numbers."""
        done = step + 1
        seconds = (time.monotonic() - self.begun) / (done - self.start)
        numbers = f"{seconds:.3f} s/step  " + "  ".join(
            f"{name} {value:.4g}" for name, value in values.items()
        )
        if self.bar is not None:
            self.bar.update(self.line, completed=done, numbers=numbers)
        if done * 10 // self.steps > step * 10 // self.steps:
            left = seconds * (self.steps - done)
            name = f"{self.name} " if self.name else ""
            say = self.run.log.info if self.bar is None else self.run.log.debug
            say("%sstep %d of %d  %s  %.0f s left", name, done, self.steps, numbers, left)


def _rich_bar(digits: int) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(20),
        MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=2 * digits + 1)),
        TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn("{task.fields[numbers]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
        console=Console(stderr=True),
    )
