"""`suite bench speed`: where the time of a distillation step goes.

The frozen prior's own forward is the limit; `step / prior forward` says how far from it the rest is.
"""

import shlex
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch

from nerf.text_to_3d import TextTo3D
from suite.compose import Composer
from suite.errors import UserError
from suite.execute import build_task, resolve
from suite.rng import generator, global_randomness, reseed
from suite.run import Run, peak_memory_mb
from suite.task import Task

RATIO_BAR, RATIO_TARGET, MINUTES_BAR, MEMORY_BAR_MB = (
    2.5,
    1.8,
    3.0,
    4096.0,
)  # of a run on a CPU, at the defaults
PARTS = {  # what is timed: name -> (attribute of the task, its method)
    "render": ("renderer", "forward"),
    "occupancy": ("renderer", "update"),
    "text": ("prior", "embed"),
    "encode": ("prior", "encode"),
    "prior": ("prior", "network"),
}
MEANING = {
    "render": "rays through field and background",
    "occupancy": "the occupancy grid",
    "text": "the prompt's condition",
    "encode": "pictures to latents",
    "prior": "the network's forward",
    "other": "cameras, noise, regularizers, checks",
    "backward": "through encoder and renderer",
    "optimizer": "Adam",
    "step": "all of it",
}


class BenchSpeed(Task):
    """Takes steps of text_to_3d and times their parts.

    Args:
        prompt: What is being made.
        steps: Steps that are timed.
        skip: Steps before them: kernels are compiled, fog becomes an object.
        overrides: Further words for text_to_3d, as "prior.path=FOLDER field=dense_grid".
    """

    reruns = True

    def __init__(
        self,
        *,
        prompt: str = "a red mushroom",
        steps: int = 100,
        skip: int = 100,
        overrides: str = "",
    ) -> None:
        if steps < 1 or skip < 0:
            raise UserError(f"bench speed needs steps >= 1 and skip >= 0, got {steps=}, {skip=}.")
        self.prompt, self.steps, self.skip, self.overrides = prompt, steps, skip, overrides

    def run(self, run: Run) -> None:
        task = self.task(run)
        if self.skip + self.steps > task.steps:
            raise UserError(
                f"The run has {task.steps} steps, fewer than skip={self.skip} and steps={self.steps} together."
            )
        times, evaluations = time_steps(task, run, self.skip, self.steps)
        measures = split(times, task.steps) | {"evaluations_per_step": evaluations / self.steps}
        memory = {"peak_memory_mb": peak_memory_mb()}
        if run.device.startswith("cuda"):
            memory["peak_gpu_memory_mb"] = torch.cuda.max_memory_allocated() / 2**20
        for line in lines(measures | memory, on_cpu=run.device == "cpu"):
            run.log.info(line)
        run.statistics |= {"steps": self.steps, "step_seconds": measures["step_ms"] / 1000} | memory
        run.write_report(measures)

    def task(self, run: Run) -> TextTo3D:
        """text_to_3d as it is configured, its constructor run, nothing optimized."""
        words = [
            f"prompt={self.prompt}",
            f"seed={run.seed}",
            f"device={run.device}",
            *shlex.split(self.overrides),
        ]
        with Composer(task="text_to_3d") as composer:
            settings, node, _ = resolve(composer.config(words))
        return build_task(node, settings, run)


class Stopwatch:
    """Adds up the seconds that functions take, by name.

    Args:
        device: On a GPU, whose work is asynchronous, waits for it before and after.
    """

    def __init__(self, device: str) -> None:
        self.wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, name: str, function: Callable) -> Callable:
        """The same function, its time added to `name`."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.wait()
            begun = time.perf_counter()
            answer = function(*args, **kwargs)
            self.wait()
            self.seconds[name] += time.perf_counter() - begun
            return answer

        return call

    def lap(self) -> dict[str, float]:
        """The seconds since the last lap."""
        taken, self.seconds = dict(self.seconds), defaultdict(float)
        return taken


def time_steps(task: TextTo3D, run: Run, skip: int, steps: int) -> tuple[list[dict[str, float]], int]:
    """(seconds of each part of each of the `steps` after the first `skip`, network evaluations in them).

    The same work as `suite.train` does in a step.
    """
    watch, laps = Stopwatch(run.device), []
    for name, (owner, method) in PARTS.items():
        part = getattr(task, owner)
        setattr(part, method, watch.timed(name, getattr(part, method)))
    task.to(run.device)
    optimizer = task.make_optimizer()

    def optimize() -> None:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def take(step: int) -> None:
        reseed(run.seed, step, "global")
        loss = watch.timed("forward", task.loss)(step, generator(run.seed, step, "step"))
        watch.timed("backward", loss.backward)()
        gradients = [
            p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None
        ]
        float(loss.detach()), float(torch.nn.utils.get_total_norm(gradients)), task.take_logged()
        watch.timed("optimizer", optimize)()
        task.after_step(step)

    with global_randomness():
        for step in range(skip + steps):
            if step == skip:
                before = task.prior.evaluations
            watch.timed("step", take)(step)
            laps.append(watch.lap())
    return laps[skip:], task.prior.evaluations - before


def split(laps: Sequence[dict[str, float]], run_steps: int) -> dict[str, float]:
    """Medians in milliseconds, the ratio, and the minutes that a run of `run_steps` takes."""
    parts = (*PARTS, "backward", "optimizer")
    table = [{name: lap.get(name, 0.0) for name in (*parts, "step")} for lap in laps]
    for lap in table:
        lap["other"] = lap["step"] - sum(lap[name] for name in parts)
    found = {f"{name}_ms": 1000 * median(lap[name] for lap in table) for name in MEANING}
    mean = sum(lap["step"] for lap in table) / len(table)
    ratio = {"step_over_prior": found["step_ms"] / found["prior_ms"]} if found["prior_ms"] else {}
    return found | ratio | {"run_minutes": mean * run_steps / 60}


def lines(measures: dict[str, float], *, on_cpu: bool) -> list[str]:
    """The table, and on a CPU the bars."""
    step = measures["step_ms"]
    text = [
        f"{name:<10}{measures[f'{name}_ms']:>9.1f} ms {measures[f'{name}_ms'] / step:>6.0%}  {meaning}"
        for name, meaning in MEANING.items()
    ]
    text.append(f"network evaluations a step: {measures['evaluations_per_step']:g}")
    bars = {
        "step / prior forward": ("step_over_prior", RATIO_BAR, f", target {RATIO_TARGET}"),
        "minutes of a whole run": ("run_minutes", MINUTES_BAR, ""),
        "peak memory in MiB": ("peak_memory_mb", MEMORY_BAR_MB, ""),
    }
    for name, (key, bar, target) in bars.items():
        if key in measures:
            verdict = "pass" if measures[key] <= bar else "FAIL"
            held_to = f" (bar {bar:g}{target}): {verdict}" if on_cpu else ""
            text.append(f"{name}: {measures[key]:.2f}{held_to}")
    return text
