"""`suite bench isosurface`: how long extracting a surface takes, forward and backward, on one core."""

import math
import time
from collections.abc import Sequence
from statistics import median

import torch
from jaxtyping import Float
from torch import Tensor

from nerf.surfaces.base import Surface
from nerf.surfaces.dmtet import DMTet
from nerf.surfaces.extraction import marching_cubes
from nerf.surfaces.flexicubes import FlexiCubes
from nerf.surfaces.shapes import Shape
from suite.errors import UserError
from suite.rng import generator
from suite.run import Run
from suite.task import Task

BAR_MS, BAR_RESOLUTION = 20.0, 64  # DMTet on one core, forward and backward
METHODS = {"dmtet": DMTet, "flexicubes": FlexiCubes}


class Bumpy(Shape):
    """A ball with waves: about as much surface as a distilled object has."""

    def __call__(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, " *n"]:
        waves = torch.sin(25 * points).prod(-1)
        return points.norm(dim=-1) - 0.42 - 0.03 * waves


class BenchIsosurface(Task):
    """Extracts a surface again and again, and passes a random gradient back.

    Processor time is what the bar is about; on an idle machine it equals the time that passes.

    Args:
        resolutions: Cubes along an axis.
        repeats: Times each is measured; the median counts.
        skip: Repeats before them.
    """

    reruns = True

    def __init__(
        self, *, resolutions: Sequence[int] = (32, 64, 128), repeats: int = 15, skip: int = 3
    ) -> None:
        if not resolutions or min(resolutions) < 8 or repeats < 1 or skip < 0:
            raise UserError(
                "bench isosurface needs resolutions >= 8, repeats >= 1 and skip >= 0, got "
                f"resolutions={list(resolutions)}, {repeats=}, {skip=}."
            )
        self.resolutions, self.repeats, self.skip = tuple(resolutions), repeats, skip

    def run(self, run: Run) -> None:
        measures: dict[str, float] = {}
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for resolution in self.resolutions:
                for name, kind in METHODS.items():
                    surface = kind(resolution=resolution, init=Bumpy()).to(run.device)
                    timed = time_surface(surface, self.repeats, self.skip)
                    measures |= {f"{name}_{resolution}_{key}": value for key, value in timed.items()}
                begun = time.process_time()
                marching_cubes(surface.values, surface.radius)
                measures[f"marching_cubes_{resolution}_ms"] = 1000 * (time.process_time() - begun)
        finally:
            torch.set_num_threads(threads)
        for line in lines(measures, self.resolutions, on_cpu=run.device == "cpu"):
            run.log.info(line)
        run.write_report(measures)


def time_surface(surface: Surface, repeats: int, skip: int) -> dict[str, float]:
    """Medians in milliseconds: processor time forward and backward, time that passed; and the faces."""
    on_gpu = surface.values.is_cuda
    wait = torch.cuda.synchronize if on_gpu else lambda: None
    forward, backward, passed = [], [], []
    for k in range(skip + repeats):
        surface.zero_grad(set_to_none=True)
        wait()
        clock = time.perf_counter if on_gpu else time.process_time
        wall, begun = time.perf_counter(), clock()
        mesh = surface()
        wait()
        between = clock()
        pull = torch.randn(mesh.vertices.shape, generator=generator(0, k, "pull")).to(mesh.vertices)
        pulling = clock()
        mesh.vertices.backward(pull)
        wait()
        if k >= skip:
            forward.append(between - begun)
            backward.append(clock() - pulling)
            passed.append(time.perf_counter() - wall)
    total = [a + b for a, b in zip(forward, backward, strict=True)]
    found = {"forward": forward, "backward": backward, "total": total, "wall": passed}
    return {f"{name}_ms": 1000 * median(times) for name, times in found.items()} | {"faces": len(mesh.faces)}


def lines(measures: dict[str, float], resolutions: Sequence[int], *, on_cpu: bool) -> list[str]:
    """The table, and on a CPU the bar."""
    text = [f"{'':<18}{'faces':>9}{'forward':>10}{'backward':>10}{'both':>10}{'wall':>10}   (ms)"]
    for resolution in resolutions:
        for name in METHODS:
            key = f"{name}_{resolution}"
            times = [measures[f"{key}_{part}_ms"] for part in ("forward", "backward", "total", "wall")]
            row = "".join(f"{value:>10.1f}" for value in times)
            text.append(f"{name:<12}{resolution:>4}^3{int(measures[f'{key}_faces']):>9}{row}")
        cubes = measures[f"marching_cubes_{resolution}_ms"]
        text.append(f"{'scikit-image':<12}{resolution:>4}^3{'':>9}{cubes:>10.1f}   forward only, no gradient")
    bar = measures.get(f"dmtet_{BAR_RESOLUTION}_total_ms", math.nan)
    if on_cpu and not math.isnan(bar):
        verdict = "pass" if bar <= BAR_MS else "FAIL"
        text.append(
            f"DMTet at {BAR_RESOLUTION}^3, forward and backward: {bar:.1f} ms (bar {BAR_MS:g}): {verdict}"
        )
    return text
