"""`suite bench image_to_3d`: pictures of held-out toyworld objects, each an ordinary run, measured.

What ends without a mesh, or does not end, counts as wrong: infinitely far from the truth, and its views as 0 dB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nerf.bench_runs import BenchOfRuns, Row, counts, medians, verdict
from suite.errors import UserError

CHAMFER_BAR, PSNR_BAR, MINUTES_BAR = 0.07, 19.0, 5.0  # of the medians; the minutes of every run, on two cores


class BenchImageTo3D(BenchOfRuns):
    """Runs image_to_3d for a picture of every prompt's object and makes a table. The same command goes on.

    Args:
        prompts: What the pictures show.
        limit: Only the first so many; null is all.
        overrides: Further words for every run, as "prior=exact_views steps=300".
        azimuth_deg: From where the pictures are taken, in turn.
        elevation_deg: The same for their elevations; the runs are told them.
    """

    task, title, picture = "image_to_3d", "Image to 3D", "beside_truth.png"
    columns = {
        "psnr_views": "PSNR",
        "ssim_views": "SSIM",
        "psnr_copy": "PSNR of copying",
        "chamfer": "Chamfer",
        "f_score": "F-score",
        "volume_iou": "IoU",
        "normal_consistency": "normals",
        "named": "named",
        "minutes": "minutes",
    }
    meaning = """PSNR and SSIM: of 16 new views against the true ones, on white, 64 pixels, nothing aligned; of copying:
of the given picture in their place. Chamfer distance, F-score (at .05), IoU and normals: the mesh against the true
one after the best scale, shift and turn, in longest sides of the true one. named: views in which the judge sees the
right name and colour. Minutes: of optimization."""

    def __init__(
        self,
        *,
        prompts: Sequence[str],
        limit: int | None = None,
        overrides: str = "",
        azimuth_deg: Sequence[float] = (30.0, -45.0, 60.0, -20.0),
        elevation_deg: Sequence[float] = (20.0, 10.0, 30.0),
    ) -> None:
        super().__init__(prompts=prompts, limit=limit, overrides=overrides)
        if not azimuth_deg or not elevation_deg:
            raise UserError("azimuth_deg and elevation_deg need at least one number each, as [30].")
        self.places = {
            prompt: (azimuth_deg[k % len(azimuth_deg)], elevation_deg[k % len(elevation_deg)])
            for k, prompt in enumerate(prompts)
        }

    def words(self, prompt: str) -> list[str]:
        azimuth, elevation = self.places[prompt]
        return [f"scene={prompt}", f"elevation_deg={elevation:g}", f"picture.azimuth_deg={azimuth:g}"]

    def summary(self, rows: Sequence[Row]) -> dict[str, float]:
        """Counts and medians."""
        return counts(rows) | medians([_with_failures(row) for row in rows], self.columns)

    def verdicts(self, rows: Sequence[Row]) -> list[str]:
        """The bars, and whether they are reached."""
        found, lines = self.summary(rows), []
        for name, words, bar, sign in (
            ("chamfer", "median Chamfer distance", CHAMFER_BAR, -1),
            ("psnr_views", "median PSNR of new views", PSNR_BAR, 1),
        ):
            value = found.get(f"median_{name}")
            if value is not None:
                lines.append(f"{words} {value:.4g} (bar {bar:g}): {verdict(sign * value >= sign * bar)}")
        slowest = max((row.measures.get("minutes", 0.0) for row in rows), default=0.0)
        lines.append(
            f"slowest run {slowest:.1f} minutes (bar {MINUTES_BAR:g}): {verdict(slowest <= MINUTES_BAR)}"
        )
        return lines

    def label(self, row: Row) -> str:
        return f"{row.prompt}: {row.measures.get('psnr_views') or 0:.1f} dB"


def _with_failures(row: Row) -> Row:
    """What did not end has views of 0 dB."""
    wrong: Mapping[str, float] = {"psnr_views": 0.0, "ssim_views": 0.0, "volume_iou": 0.0}
    return replace(row, measures=dict(wrong)) if row.failure else row
