"""`suite bench text_to_3d`: a fixed list of prompts, each an ordinary run, and how right the results are.

What ends without a mesh, or does not end, counts as wrong: named in no view, infinitely far from the truth.
"""

import json
import math
import shlex
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

NAMED_BAR, PROMPTS_BAR, CHAMFER_BAR = 0.75, 26 / 32, 0.08  # a view in four may be wrong, for 26 prompts in 32
COLUMNS = {
    "named": "named",
    "name_right": "name",
    "color_right": "colour",
    "view_right": "view",
    "r_precision": "R-prec.",
    "janus_index": "Janus",
    "chamfer": "Chamfer",
    "f_score": "F-score",
    "volume_iou": "IoU",
    "normal_consistency": "normals",
    "minutes": "minutes",
}
MEANING = """named: views of 16 around it in which the judge sees the right name and colour; name, colour, view (of
things with a front): each by itself; R-prec.: no other prompt fits a view better; Janus: 0 is one face, 1 a
second one at the back. Chamfer distance, F-score (at .05), IoU and normals: the mesh against the true one after
the best scale, shift and turn, in longest sides of the true one. Minutes: of optimization."""


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


class BenchTextTo3D(Task):
    """Runs text_to_3d for every prompt and makes a table. Finished runs are kept: the same command goes on.

    Args:
        prompts: What is made.
        limit: Only the first so many; null is all.
        overrides: Further words for every run, as "steps=300 prior.path=FOLDER".
        objects: A folder of captioned meshes, as `suite prepare_objects` makes: without it the shapes of real
            objects are not known.
    """

    reruns = True  # finished runs are not repeated; what failed is tried again

    def __init__(
        self,
        *,
        prompts: Sequence[str],
        limit: int | None = None,
        overrides: str = "",
        objects: str = "",
    ) -> None:
        if isinstance(prompts, str):
            raise UserError("prompts is a list: type prompts=[a red mushroom,a horse].")
        if not prompts or len({slug(prompt) for prompt in prompts}) < len(prompts):
            raise UserError("prompts must be a list of different texts, at least one.")
        if limit is not None and limit < 1:
            raise UserError(f"limit must be at least 1, or null for all prompts, got {limit}.")
        self.prompts, self.overrides, self.objects = list(prompts)[:limit], overrides, objects

    def run(self, run: Run) -> None:
        configs = self.configs(run)  # all of them first: a typo is found before hours of work
        rows: list[Row] = []
        for number, (prompt, config) in enumerate(configs.items()):
            run.log.info("%d of %d: %s", number + 1, len(configs), prompt)
            rows.append(attempt(prompt, config))
            self.write(rows, run)
        if all(row.failure for row in rows):
            raise UserError(f"None of the {len(rows)} runs ended. {rows[0].prompt}: {rows[0].failure}")
        for line in [*table(rows), "", *verdicts(rows)]:
            run.log.info(line)
        run.write_report(summary(rows) | {"runs": [flat(row) for row in rows]})

    def configs(self, run: Run) -> dict[str, dict]:
        """The composed configuration of each prompt's run.

        Raises:
            UserError: An override that text_to_3d does not have.
        """
        settings = run.settings
        shared = {name: getattr(settings, name) for name in ("seed", "device", "save_every", "previews")}
        words = [f"{name}={value}" for name, value in shared.items()]
        words += [f"products.truth.objects={self.objects}"] if self.objects else []
        with Composer(task="text_to_3d") as composer:
            configs = {
                prompt: composer.config(
                    [
                        f"prompt={prompt}",
                        f"out={run.directory / slug(prompt)}",
                        *words,
                        *shlex.split(self.overrides),
                    ]
                )
                for prompt in self.prompts
            }
        for config in configs.values():
            resolve(config)
        return configs

    def write(self, rows: Sequence[Row], run: Run) -> None:
        """table.md, table.json and images/judged.png, so far."""
        asked = f" overrides={shlex.quote(self.overrides)}" if self.overrides else ""
        command = f"suite bench text_to_3d seed={run.seed}{asked}"
        text = ["# Text to 3D", "", f"`{command}`", "", *table(rows), "", *(f"* {x}" for x in verdicts(rows))]
        write_atomically(run.path("table.md"), "\n".join([*text, "", MEANING, ""]))
        content = {"summary": summary(rows), "runs": [flat(row) for row in rows]}
        write_atomically(run.path("table.json"), json.dumps(finite(content), indent=1))
        pictures = [Path(row.directory) / "images" / "judged.png" for row in rows]
        shown = [(row, read_image(path).rgb[0]) for row, path in zip(rows, pictures) if path.is_file()]
        if shown and len({image.shape for _, image in shown}) == 1:
            labels = [f"{row.prompt}: {row.named or 0:.0%}" for row, _ in shown]
            sheet = contact_sheet(torch.stack([image for _, image in shown]), 2, labels)
            write_image(run.path("images", "judged.png"), sheet)


def attempt(prompt: str, config: dict) -> Row:
    """One run, and what it measured or why it did not end."""
    group = group_of(prompt)
    try:
        run = execute("text_to_3d", config)
    except (Diverged, UserError) as error:
        return Row(prompt, group, config["out"], {}, one_line(error))
    report = json.loads((run.directory / "report.json").read_text(encoding="utf-8"))
    measures = report["measures"] | {"minutes": report.get("optimization_seconds", 0.0) / 60}
    return Row(prompt, group, str(run.directory), measures)


def group_of(prompt: str) -> str:
    """Whether a prompt is a composition that priors have seen, one that is held out, or a real object."""
    try:
        return "held out" if held_out(parse(prompt)) else "seen"
    except UserError:
        return "real"


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Counts, and medians over the prompts for which a measure is known."""
    judged = [row.named for row in rows if row.named is not None]
    found: dict[str, Any] = {
        "prompts": len(rows),
        "failed": sum(bool(row.failure) for row in rows),
        "judged": len(judged),
        "named_prompts": sum(share >= NAMED_BAR for share in judged),
    }
    for name in COLUMNS:
        values = [
            getattr(row, name, None) if name in ("named", "chamfer") else row.measures.get(name)
            for row in rows
        ]
        known = [value for value in values if value is not None]
        found |= {f"median_{name}": median(known)} if known else {}
    return found


def verdicts(rows: Sequence[Row]) -> list[str]:
    """The bars, and whether they are reached."""
    found, lines = summary(rows), []
    needed = math.ceil(PROMPTS_BAR * found["judged"])
    if found["judged"]:
        lines.append(
            f"named right in at least {NAMED_BAR:.0%} of the views: {found['named_prompts']} of "
            f"{found['judged']} prompts (bar {needed}): {_verdict(found['named_prompts'] >= needed)}"
        )
    if "median_chamfer" in found:
        known = sum(row.chamfer is not None for row in rows)
        lines.append(
            f"median Chamfer distance {found['median_chamfer']:.4f} over {known} known shapes "
            f"(bar {CHAMFER_BAR}): {_verdict(found['median_chamfer'] <= CHAMFER_BAR)}"
        )
    for name, why in (
        ("judged", "there was no judge"),
        ("shapes", "their shape is not known: type objects=FOLDER"),
    ):
        missing = sum((row.named if name == "judged" else row.chamfer) is None for row in rows)
        if missing:
            lines.append(f"{missing} of {len(rows)} are not measured by {name}: {why}")
    return lines


def table(rows: Sequence[Row]) -> list[str]:
    """The rows as Markdown, medians last."""
    lines = [["prompt", "", *COLUMNS.values()], ["---", "---", *["--:"] * len(COLUMNS)]]
    for row in rows:
        values = flat(row)
        cells = [_number(values.get(name)) for name in COLUMNS]
        lines.append([row.prompt, row.group, *(cells if not row.failure else [f"failed: {row.failure}"])])
    medians = summary(rows)
    lines.append(["**median**", "", *(_number(medians.get(f"median_{name}")) for name in COLUMNS)])
    return [f"| {' | '.join(line)} |" for line in lines]


def flat(row: Row) -> dict[str, Any]:
    """A row for JSON and for tables."""
    known: Mapping[str, Any] = {
        "prompt": row.prompt,
        "group": row.group,
        "failure": row.failure,
    } | row.measures
    return dict(known) | {"named": row.named, "chamfer": row.chamfer}


def _verdict(reached: bool) -> str:
    return "pass" if reached else "FAIL"


def _number(value: float | int | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if math.isfinite(value) else "∞"
