"""A bench of runs: a fixed list of things, each an ordinary run of one task, and a table of how right the results are.

Finished runs are kept: the same command goes on. What ends without a mesh, or does not end, counts as wrong.
"""

import json
import math
import shlex
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from suite.compose import Composer
from suite.errors import Diverged, UserError
from suite.execute import execute, one_line, resolve
from suite.io.images import contact_sheet, read_image, write_image
from suite.io.weights import write_atomically
from suite.run import Run, finite
from suite.task import Task
from suite.toyworld.objects import held_out, parse
from suite.toyworld.real_objects import slug


@dataclass(frozen=True)
class Row:
    """What became of a prompt.

    Args:
        group: "seen" or "held out" (compositions of toyworld), or "real" (objects).
        directory: Of its run.
        measures: Of its report, and its minutes of optimization.
        failure: Why there are none.
    """

    prompt: str
    group: str
    directory: str
    measures: dict[str, Any]
    failure: str = ""

    @property
    def named(self) -> float | None:
        """Share of views that are named right; None where nobody judged."""
        return 0.0 if self.failure else self.measures.get("named")

    @property
    def chamfer(self) -> float | None:
        """Infinite without a mesh; None where the true shape is not known."""
        lost = self.failure or self.measures.get("faces") == 0
        return math.inf if lost else self.measures.get("chamfer")

    def measure(self, name: str) -> float | None:
        """A number of the table."""
        return getattr(self, name) if name in ("named", "chamfer") else self.measures.get(name)


class BenchOfRuns(Task):
    """Runs a task for every prompt and makes a table.

    Args:
        prompts: What is made.
        limit: Only the first so many; null is all.
        overrides: Further words for every run, as "steps=300 prior.path=FOLDER".

    Class attributes:
        task: What is run. title, meaning: Of the table. columns: Measures and their headers. picture: A file among
            each run's images for the common sheet.
    """

    reruns = True  # finished runs are not repeated; what failed is tried again
    task: str
    title: str
    meaning: str
    columns: Mapping[str, str]
    picture: str

    def __init__(self, *, prompts: Sequence[str], limit: int | None = None, overrides: str = "") -> None:
        if isinstance(prompts, str):
            raise UserError("prompts is a list: type prompts=[a red mushroom,a horse].")
        if not prompts or len({slug(prompt) for prompt in prompts}) < len(prompts):
            raise UserError("prompts must be a list of different texts, at least one.")
        if limit is not None and limit < 1:
            raise UserError(f"limit must be at least 1, or null for all prompts, got {limit}.")
        self.prompts, self.overrides = list(prompts)[:limit], overrides

    @abstractmethod
    def words(self, prompt: str) -> list[str]:
        """What is typed for a prompt's run."""

    @abstractmethod
    def verdicts(self, rows: Sequence[Row]) -> list[str]:
        """The bars, and whether they are reached."""

    def summary(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Counts and medians."""
        return counts(rows) | medians(rows, self.columns)

    def run(self, run: Run) -> None:
        configs = self.configs(run)  # all of them first: a typo is found before hours of work
        rows: list[Row] = []
        for number, (prompt, config) in enumerate(configs.items()):
            run.log.info("%d of %d: %s", number + 1, len(configs), prompt)
            rows.append(attempt(self.task, prompt, config))
            self.write(rows, run)
        if all(row.failure for row in rows):
            raise UserError(f"None of the {len(rows)} runs ended. {rows[0].prompt}: {rows[0].failure}")
        for line in [*table(rows, self.columns), "", *self.verdicts(rows)]:
            run.log.info(line)
        run.write_report(self.summary(rows) | {"runs": [flat(row) for row in rows]})

    def configs(self, run: Run) -> dict[str, dict]:
        """The composed configuration of each prompt's run.

        Raises:
            UserError: An override that the task does not have.
        """
        settings = run.settings
        shared = {name: getattr(settings, name) for name in ("seed", "device", "save_every", "previews")}
        shared_words = [f"{name}={value}" for name, value in shared.items()]
        with Composer(task=self.task) as composer:
            configs = {
                prompt: composer.config(
                    [
                        *self.words(prompt),
                        f"out={run.directory / slug(prompt)}",
                        *shared_words,
                        *shlex.split(self.overrides),
                    ]
                )
                for prompt in self.prompts
            }
        for config in configs.values():
            resolve(config)
        return configs

    def write(self, rows: Sequence[Row], run: Run) -> None:
        """table.md, table.json and a sheet of every run's picture, so far."""
        given = {"setting": getattr(self, "setting", ""), "overrides": self.overrides}
        asked = "".join(f" {name}={shlex.quote(value)}" for name, value in given.items() if value)
        command = f"suite bench {self.task} seed={run.seed}{asked}"
        lines = [*table(rows, self.columns), "", *(f"* {x}" for x in self.verdicts(rows))]
        text = [f"# {self.title}", "", f"`{command}`", "", *lines, "", self.meaning, ""]
        write_atomically(run.path("table.md"), "\n".join(text))
        content = {"summary": self.summary(rows), "runs": [flat(row) for row in rows]}
        write_atomically(run.path("table.json"), json.dumps(finite(content), indent=1))
        pictures = [Path(row.directory) / "images" / self.picture for row in rows]
        shown = [(row, read_image(path).rgb[0]) for row, path in zip(rows, pictures) if path.is_file()]
        if shown and len({image.shape for _, image in shown}) == 1:
            labels = [self.label(row) for row, _ in shown]
            sheet = contact_sheet(torch.stack([image for _, image in shown]), 2, labels)
            write_image(run.path("images", self.picture), sheet)

    def label(self, row: Row) -> str:
        """Under a run's picture."""
        return row.prompt


def attempt(task: str, prompt: str, config: dict) -> Row:
    """One run, and what it measured or why it did not end."""
    group = group_of(prompt)
    try:
        run = execute(task, config)
    except (Diverged, UserError) as error:
        return Row(prompt, group, config["out"], {}, one_line(error))
    report = json.loads((run.directory / "report.json").read_text(encoding="utf-8"))
    stages = [report, *(part for part in report.values() if isinstance(part, dict))]
    seconds = sum(part.get("optimization_seconds", 0.0) for part in stages)
    measures = report["measures"] | {"minutes": seconds / 60}
    return Row(prompt, group, str(run.directory), measures)


def group_of(prompt: str) -> str:
    """Whether a prompt is a composition that priors have seen, one that is held out, or a real object."""
    try:
        return "held out" if held_out(parse(prompt)) else "seen"
    except UserError:
        return "real"


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """How many, and how many did not end."""
    return {"prompts": len(rows), "failed": sum(bool(row.failure) for row in rows)}


def medians(rows: Sequence[Row], columns: Mapping[str, str]) -> dict[str, float]:
    """Over the prompts for which a measure is known."""
    found = {}
    for name in columns:
        known = [value for value in (row.measure(name) for row in rows) if value is not None]
        found |= {f"median_{name}": median(known)} if known else {}
    return found


def table(rows: Sequence[Row], columns: Mapping[str, str]) -> list[str]:
    """The rows as Markdown, medians last."""
    lines = [["prompt", "", *columns.values()], ["---", "---", *["--:"] * len(columns)]]
    for row in rows:
        values = flat(row)
        cells = [_number(values.get(name)) for name in columns]
        lines.append([row.prompt, row.group, *(cells if not row.failure else [f"failed: {row.failure}"])])
    found = medians(rows, columns)
    lines.append(["**median**", "", *(_number(found.get(f"median_{name}")) for name in columns)])
    return [f"| {' | '.join(line)} |" for line in lines]


def flat(row: Row) -> dict[str, Any]:
    """A row for JSON and for tables."""
    known: Mapping[str, Any] = {
        "prompt": row.prompt,
        "group": row.group,
        "failure": row.failure,
    } | row.measures
    return dict(known) | {"named": row.named, "chamfer": row.chamfer}


def verdict(reached: bool) -> str:
    """pass or FAIL."""
    return "pass" if reached else "FAIL"


def _number(value: float | int | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if math.isfinite(value) else "∞"
