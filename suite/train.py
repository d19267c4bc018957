"""The one training loop.

    for step: loss(generator of (seed, step)) -> backward -> finite? -> optimizer -> after_step

It saves every so often and when it is stopped (Ctrl-C, SIGTERM); the same command goes on. Global randomness
(dropout, initialization in a step) is reseeded before each step too, so that a run killed at any moment and
resumed equals the uninterrupted one bit for bit on a CPU.
"""

import math
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from suite.errors import Diverged
from suite.io.weights import map_tensors
from suite.progress import Progress
from suite.rng import generator, global_randomness, reseed
from suite.run import Run, peak_memory_mb
from suite.schedules import Schedule
from suite.task import Optimization

LOGGED_ROWS = 2000  # metrics.jsonl has about this many lines, however long the run
HEALTH_CHECKS = 50


class Interrupted(KeyboardInterrupt):
    """The run was stopped by the user or the system, after saving."""


def optimize(task: Optimization, run: Run, *, stage: str = "") -> None:
    """Takes the task's remaining steps.

    Args:
        task: What is optimized; left in its final state.
        run: Where checkpoints and metrics go.
        stage: Name of the stage in a task of several: its checkpoints and metrics are kept apart.

    Raises:
        Diverged: Loss or gradient is not finite, or the task's health check found a reason to stop.
        Interrupted: Ctrl-C or SIGTERM; the state was saved.
    """
    with global_randomness(), _interruptions() as stopped:
        loop = _Loop(task, run, stage)
        start = loop.resume()
        with Progress(run, task.steps, start, stage) as progress:
            for step in range(start, task.steps):
                progress.update(step, loop.take_step(step))
                if stopped.is_set():
                    loop.save(step + 1)
                    raise Interrupted(
                        f"stopped after step {step + 1} of {task.steps}, saved in {run.directory}"
                    )
                if step + 1 < task.steps and loop.save_is_due(step + 1):
                    loop.save(step + 1)
        if start < task.steps:
            loop.save(task.steps)
        loop.summarize()


class _Loop:
    """One optimization under way: what `optimize` does at each step, and what a checkpoint holds."""

    def __init__(self, task: Optimization, run: Run, stage: str) -> None:
        self.task, self.run, self.stage = task, run, stage
        self.checkpoints = run.checkpoints(stage)
        task.to(run.device)
        reseed(run.seed, 0, "optimizer")
        self.optimizer = task.make_optimizer()
        self.rates = [group.get("lr") for group in task.parameter_groups()]
        self.durations: list[float] = []
        self.seconds, self.evaluations, self.evaluations_before = 0.0, 0, task_evaluations(task)
        self.saved_at, self.last_save = time.monotonic(), 0

    def resume(self) -> int:
        """Takes up the newest checkpoint; returns how many steps are done."""
        found = self.checkpoints.load()
        start, state = found or (0, None)
        if state is not None:
            self.task.load_state_dict(state["task"])
            self.optimizer.load_state_dict(map_tensors(state["optimizer"], torch.clone))
            self.seconds, self.evaluations = state["seconds"], state["evaluations"]
            self.durations = [state["step_seconds"]] if state["step_seconds"] else []
            self.run.log.info("Going on after step %d of %d.", start, self.task.steps)
        self.run.rewind_metrics(start, self.stage)
        self.last_save = start
        return start

    def take_step(self, step: int) -> dict[str, float]:
        """One step; returns its numbers."""
        begun = time.perf_counter()
        task, progress = self.task, step / self.task.steps
        reseed(self.run.seed, step, "global")
        for group, rate in zip(self.optimizer.param_groups, self.rates):
            if isinstance(rate, Schedule):
                group["lr"] = rate(progress)
        self.optimizer.zero_grad(set_to_none=True)
        loss = task.loss(step, generator(self.run.seed, step, "step"))
        loss.backward()
        values = {"loss": float(loss.detach()), "gradient": self._gradient_norm()}
        self._check(step, values)
        values |= task.take_logged()  # before the step: what was logged may be views of parameters
        self.optimizer.step()
        task.after_step(step)
        values |= task.take_logged()
        seconds = time.perf_counter() - begun
        self.durations.append(seconds)
        self.seconds += seconds
        if step % max(1, task.steps // LOGGED_ROWS) == 0 or step + 1 == task.steps:
            stage = {"stage": self.stage} if self.stage else {}
            self.run.log_metrics(step, **stage, **values, step_seconds=round(seconds, 5))
        if self._falls_due(step, HEALTH_CHECKS) and (reason := task.health()) is not None:
            self._stop(step, reason)
        if self._falls_due(step, self.run.settings.previews):
            task.preview(step + 1, self.run)
        return values

    def save_is_due(self, done: int) -> bool:
        seconds, steps = self.run.settings.save_interval
        return time.monotonic() - self.saved_at >= seconds or (steps > 0 and done - self.last_save >= steps)

    def save(self, done: int) -> None:
        """Writes a checkpoint after `done` steps."""
        state = {
            "task": self.task.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "seconds": self.seconds,
            "evaluations": self._evaluations(),
            "step_seconds": statistics.median(self.durations) if self.durations else 0.0,
        }
        self.checkpoints.save(done, state)
        self.saved_at, self.last_save = time.monotonic(), done

    def summarize(self) -> None:
        """Leaves step time, evaluations and memory for the report."""
        numbers = {
            "steps": self.task.steps,
            "step_seconds": statistics.median(self.durations) if self.durations else 0.0,
            "evaluations": self._evaluations(),
            "optimization_seconds": self.seconds,
            "peak_memory_mb": peak_memory_mb(),
        }
        if torch.cuda.is_available():
            numbers["peak_gpu_memory_mb"] = torch.cuda.max_memory_allocated() / 2**20
        self.run.statistics |= {self.stage: numbers} if self.stage else numbers

    def _evaluations(self) -> int:
        return self.evaluations + task_evaluations(self.task) - self.evaluations_before

    def _falls_due(self, step: int, times: int) -> bool:
        """True `times` times in the run, evenly, the last time at the last step."""
        return (step + 1) * times // self.task.steps > step * times // self.task.steps

    def _gradient_norm(self) -> float:
        gradients = [
            p.grad for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None
        ]
        return float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0

    def _check(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            if not math.isfinite(value):
                what = "a gradient" if name == "gradient" else "the loss"
                self._stop(
                    step, f"{what} is not finite ({value}): a lower learning rate or guidance scale may help"
                )

    def _stop(self, step: int, reason: str) -> None:
        paths = self.checkpoints.paths()
        last = f"the last good state is {paths[-1]}" if paths else "nothing had been saved yet"
        raise Diverged(f"stopped at step {step} of {self.task.steps}: {reason}; {last}.")


def task_evaluations(task: Any) -> int:
    """Network evaluations so far, of the task or of its prior, where they are counted."""
    counted = getattr(task, "evaluations", None)
    return int(getattr(getattr(task, "prior", None), "evaluations", 0) if counted is None else counted)


@contextmanager
def _interruptions() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C interrupts at once."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(number: int, _: Any) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
