"""`suite bench text_to_3d`: a fixed list of prompts, each an ordinary run, and how right the results are.

What ends without a mesh, or does not end, counts as wrong: named in no view, infinitely far from the truth.
"""

import math
from collections.abc import Callable, Sequence
from statistics import mean, median
from typing import Any

from nerf.bench_runs import BenchOfRuns, Row, counts, medians, verdict

NAMED_BAR, PROMPTS_BAR, CHAMFER_BAR = 0.75, 26 / 32, 0.08  # a view in four may be wrong, for 26 prompts in 32

STAGES = {
    "sharpness": "sharpness",
    "detail_match": "detail",
    "coarse_mesh_named": "coarse: named",
    "coarse_mesh_name_right": "coarse: name",
    "coarse_mesh_color_right": "coarse: colour",
    "coarse_chamfer": "coarse: Chamfer",
    "coarse_sharpness": "coarse: sharpness",
    "coarse_detail_match": "coarse: detail",
}
STAGES_MEANING = """Sharpness: detail finer than 2 pixels in unlit views of 128, over that of the true object in the
same views; detail: its correlation with the true one, which noise does not raise. Coarse: the same of the first
stage's mesh, seen from the same cameras."""
PAIRS = (  # fine, coarse, what it is, over the prompts (medians of shares tie at 1), whether more is better
    ("chamfer", "coarse_chamfer", "Chamfer distance", median, False),
    ("named", "coarse_mesh_named", "share of views named right", mean, True),
    ("name_right", "coarse_mesh_name_right", "share of views with the right name", mean, True),
    ("color_right", "coarse_mesh_color_right", "share of views with the right colour", mean, True),
    ("sharpness", "coarse_sharpness", "sharpness", median, True),
    ("detail_match", "coarse_detail_match", "detail", median, True),
)


class BenchTextTo3D(BenchOfRuns):
    """Runs text_to_3d for every prompt and makes a table. Finished runs are kept: the same command goes on.

    Args:
        prompts: What is made.
        limit: Only the first so many; null is all.
        overrides: Further words for every run, as "steps=300 prior.path=FOLDER".
        setting: A name of configs/experiment for every run, as "magic3d"; of two stages, the coarse one gets columns
            of its own.
        objects: A folder of captioned meshes, as `suite prepare_objects` makes: without it the shapes of real
            objects are not known.
    """

    task, title, picture = "text_to_3d", "Text to 3D", "judged.png"
    columns = {
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
    meaning = """named: views of 16 around it in which the judge sees the right name and colour; name, colour, view (of
things with a front): each by itself; R-prec.: no other prompt fits a view better; Janus: 0 is one face, 1 a
second one at the back. Chamfer distance, F-score (at .05), IoU and normals: the mesh against the true one after
the best scale, shift and turn, in longest sides of the true one. Minutes: of optimization."""

    def __init__(
        self,
        *,
        prompts: Sequence[str],
        limit: int | None = None,
        overrides: str = "",
        setting: str = "",
        objects: str = "",
    ) -> None:
        super().__init__(prompts=prompts, limit=limit, overrides=overrides)
        self.setting, self.objects = setting, objects
        if setting:
            self.columns, self.meaning = self.columns | STAGES, f"{self.meaning}\n{STAGES_MEANING}"

    def words(self, prompt: str) -> list[str]:
        known = [f"products.truth.objects={self.objects}"] if self.objects else []
        return [f"prompt={prompt}", *known, *([f"experiment={self.setting}"] if self.setting else [])]

    def summary(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Counts, and medians over the prompts for which a measure is known."""
        judged = [row.named for row in rows if row.named is not None]
        named = sum(share >= NAMED_BAR for share in judged)
        found = {"judged": len(judged), "named_prompts": named}
        return counts(rows) | found | medians(rows, self.columns)

    def verdicts(self, rows: Sequence[Row]) -> list[str]:
        """The bars, and whether they are reached."""
        found, lines = self.summary(rows), []
        needed = math.ceil(PROMPTS_BAR * found["judged"])
        if found["judged"]:
            lines.append(
                f"named right in at least {NAMED_BAR:.0%} of the views: {found['named_prompts']} of "
                f"{found['judged']} prompts (bar {needed}): {verdict(found['named_prompts'] >= needed)}"
            )
        if "median_chamfer" in found:
            known = sum(row.chamfer is not None for row in rows)
            lines.append(
                f"median Chamfer distance {found['median_chamfer']:.4f} over {known} known shapes "
                f"(bar {CHAMFER_BAR}): {verdict(found['median_chamfer'] <= CHAMFER_BAR)}"
            )
        for name, why in (
            ("judged", "there was no judge"),
            ("shapes", "their shape is not known: type objects=FOLDER"),
        ):
            missing = sum((row.named if name == "judged" else row.chamfer) is None for row in rows)
            if missing:
                lines.append(f"{missing} of {len(rows)} are not measured by {name}: {why}")
        return lines + [line for line in (compared(rows, *pair) for pair in PAIRS) if line]

    def label(self, row: Row) -> str:
        return f"{row.prompt}: {row.named or 0:.0%}"


def compared(
    rows: Sequence[Row],
    fine: str,
    coarse: str,
    what: str,
    over: Callable[[Sequence[float]], float],
    more_is_better: bool,
) -> str:
    """A line on what the second stage changes, over the prompts for which both are known; "" where there are none."""
    pairs = [(row.measure(coarse), row.measure(fine)) for row in rows]
    known = [(before, after) for before, after in pairs if before is not None and after is not None]
    if not known:
        return ""
    before, after = (over(column) for column in zip(*known, strict=True))
    better = after > before if more_is_better else after < before
    return (
        f"{over.__name__} {what} of the coarse mesh {before:.4f}, of the fine one {after:.4f}, over {len(known)} "
        f"prompts: {'alike' if after == before else verdict(better)}"
    )
