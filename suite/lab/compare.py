"""Finished runs side by side: what differs in their settings, what they measured, what they look like.

In a notebook: `Comparison.of(["runs/a", "runs/b"])` shows the table, `table([...])` gives it as rows.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite import curves, pages
from suite.errors import UserError
from suite.io.weights import write_atomically
from suite.report import RunFiles
from suite.run import Run
from suite.settings import IMMATERIAL
from suite.task import Task


class Compare(Task):
    """Prints a table of finished runs and writes a page with their pictures and models beside each other.

    Args:
        runs: Run directories, at least two.
    """

    reruns = True

    def __init__(self, *, runs: Sequence[str]) -> None:
        if isinstance(runs, str) or len(runs) < 2:
            raise UserError("compare needs at least two run directories: suite compare RUN RUN ...")
        self.comparison = Comparison.of(runs)

    def run(self, run: Run) -> None:
        from rich.console import Console

        Console(soft_wrap=True).print(self.comparison.rich_table())
        run.write_report({"runs": self.comparison.rows()})
        write_atomically(run.path("report.html"), self.comparison.page(run.directory))


@dataclass(frozen=True)
class Comparison:
    """Several finished runs.

    Attributes:
        runs: What lies in their directories.
        names: One each: the directory's, with that of its parent where two are equal.
    """

    runs: tuple[RunFiles, ...]
    names: tuple[str, ...]

    @staticmethod
    def of(directories: Sequence[str | Path]) -> "Comparison":
        """Reads the runs.

        Raises:
            UserError: One of them is no run directory, or not finished.
        """
        return Comparison(tuple(finished_run(path) for path in directories), _names(directories))

    def settings(self) -> list[dict[str, Any]]:
        """Of each run, the settings that are not the same in all; objects by their class."""
        flat = [_flattened(run.config) for run in self.runs]
        keys = dict.fromkeys(key for one in flat for key in one)
        differing = [key for key in keys if any(one.get(key) != flat[0].get(key) for one in flat)]
        return [{key: one.get(key) for key in differing} for one in flat]

    def measures(self) -> list[dict[str, Any]]:
        """Of each run, the single values among its measures."""
        flat = [_flattened(run.report.get("measures") or {}) for run in self.runs]
        return [{key: x for key, x in one.items() if not isinstance(x, list)} for one in flat]

    def rows(self) -> list[dict[str, Any]]:
        """A row a run: name, task, title, differing settings, measures, cost. For pandas and the like."""
        parts = zip(self.runs, self.names, self.settings(), self.measures(), strict=True)
        return [
            {"run": name, "task": run.task, "title": run.title} | settings | measures | run.cost
            for run, name, settings, measures in parts
        ]

    def groups(self) -> dict[str, list[tuple[str, list[Any]]]]:
        """Heading -> (name, a value for each run), for tables with a column a run."""
        parts = {
            "Settings that differ": self.settings(),
            "Measures": self.measures(),
            "Cost": [run.cost for run in self.runs],
        }
        return {title: _transposed(columns) for title, columns in parts.items() if any(columns)}

    def rich_table(self) -> Any:
        """The table for a terminal."""
        from rich.markup import escape
        from rich.table import Table

        table = Table(show_edge=False, pad_edge=False)
        table.add_column("")
        for name in self.names:
            table.add_column(escape(name), overflow="fold")
        for title, lines in self.groups().items():
            table.add_row(f"[bold]{title}[/bold]")
            for name, values in lines:
                table.add_row(escape(f"  {name}"), *(escape(_text(x)) for x in values))
            table.add_section()
        return table

    def html(self) -> str:
        """The table as HTML."""
        tables = (
            f"<h3>{title}</h3>{pages.columns(['', *self.names], [[n, *values] for n, values in lines])}"
            for title, lines in self.groups().items()
        )
        return "".join(tables)

    _repr_html_ = html

    def page(self, folder: str | Path = ".") -> str:
        """A whole page that opens offline; `folder` is where it will lie."""
        inline = pages.Inliner(Path(folder))
        shown = "".join(_column(run, name, inline) for run, name in zip(self.runs, self.names, strict=True))
        body = (
            f'<header><h1>{len(self.runs)} runs compared</h1><p class="quiet">'
            f"{pages.escape(', '.join(self.names))}</p></header>"
            f'<section><div class="runs">{shown}</div></section><section>{self.html()}</section>'
        )
        return pages.page("Runs compared", body)


def table(runs: Sequence[str | Path]) -> list[dict[str, Any]]:
    """A row for each finished run: name, task, title, the settings that differ, measures, cost."""
    return Comparison.of(runs).rows()


def finished_run(directory: str | Path) -> RunFiles:
    """What lies in the directory of a finished run.

    Raises:
        UserError: It is no run directory, the run is not finished, or its report is damaged.
    """
    path = Path(directory)
    if not path.is_dir():
        raise UserError(f"There is no run directory {path}.")
    if not (path / "config.yaml").is_file():
        inside = sorted(file.parent for file in path.glob("*/config.yaml"))
        instead = f" Did you mean {' '.join(map(str, inside[:4]))}?" if inside else ""
        raise UserError(f"{path} is not a run directory: it has no config.yaml.{instead}")
    if not (path / "report.json").is_file() or not (path / "complete.json").is_file():
        raise UserError(f"The run {path} is not finished: repeat its command to the end, then compare.")
    try:
        json.loads((path / "report.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path / 'report.json'} is damaged: {error}.") from error
    return RunFiles.read(path)


def _column(run: RunFiles, name: str, inline: pages.Inliner) -> str:
    """What a run looks like: model, turntable, pictures, losses."""
    shown = [inline.model(path) for path in run.files("meshes", ".glb")[:1]]
    shown += [inline.video(path) for path in run.files("videos", *pages.VIDEOS, ".gif", ".webp")[:2]]
    sheets, _, others = run.pictures()
    shown += [inline.image(path) for path in (sheets + others)[:4]]
    points = curves.series(run.metrics)
    shown += [curves.chart(key, points[key]) for key in points if key.rpartition(" ")[2] == "loss"]
    link = pages.escape(name)
    if (run.directory / "report.html").is_file():
        link = f'<a href="{pages.escape((run.directory / "report.html").resolve().as_uri())}">{link}</a>'
    head = f"<h2>{pages.escape(run.title)}</h2><p class='quiet'>{link}</p>"
    return f"<div>{head}{''.join(shown)}</div>"


def _names(directories: Sequence[str | Path]) -> tuple[str, ...]:
    paths = [Path(path).resolve() for path in directories]
    short = [path.name for path in paths]
    return tuple(
        path.name if short.count(path.name) == 1 else f"{path.parent.name}/{path.name}" for path in paths
    )


def _flattened(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """ "guidance.scale" -> 30.0; an object's own key is its class. Settings that change nothing are left out."""
    flat = {}
    for key, x in node.items():
        if not prefix and key in IMMATERIAL:
            continue
        if key == "_target_":
            flat[prefix.rstrip(".") or "task"] = str(x).rpartition(".")[2]
        elif isinstance(x, Mapping):
            flat |= _flattened(x, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = x
    return flat


def _transposed(columns: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    names = dict.fromkeys(name for column in columns for name in column)
    return [(name, [column.get(name) for column in columns]) for name in names]


def _text(x: Any) -> str:
    if isinstance(x, bool):
        return "yes" if x else "no"
    return "–" if x is None else f"{x:.4g}" if isinstance(x, float) else str(x)
