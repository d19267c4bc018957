"""Toy tasks for the tests of the command line and of resuming: all that evolves, nothing that is slow."""

import os
import signal
from typing import Literal

import torch
from torch import Tensor, nn

from suite.rng import generator
from suite.schedules import Cosine, Schedule, as_schedule
from suite.task import Optimization, Task


class Spring:
    """The pull towards a place.

    Args:
        strength: How hard it pulls.
        kind: "square" or "absolute" distance.
    """

    def __init__(
        self, *, strength: float | Schedule = 1.0, kind: Literal["square", "absolute"] = "square"
    ) -> None:
        self.strength, self.kind = as_schedule(strength), kind


class Note:
    """Words.

    Args:
        text: What is written.
        loud: In capitals.
    """

    def __init__(self, *, text: str, loud: bool = False) -> None:
        self.text, self.loud = text, loud


class Frozen(nn.Module):
    """Stands for a prior: parameters that no checkpoint needs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6).requires_grad_(False)
        self.evaluations = 0

    def forward(self, x: Tensor) -> Tensor:
        self.evaluations += len(x)
        return torch.tanh(self.layer(x))


class Wander(Optimization):
    """A noisy walk with dropout, a schedule, a buffer that evolves and a moving average.

    Args:
        prompt: What it is about.
        spring: What pulls.
        steps: How many steps.
        seed: Where randomness comes from.
        rate: Learning rate at the start.
        fail_at: Step whose loss is not a number; -1 for none.
        sick_at: Step from which `health` complains; -1 for never.
        full_at: Step from which writing a checkpoint finds the disk full; -1 for never.
        signal_at: Step at which the process sends itself a signal; -1 for never.
        signal: Which.
    """

    def __init__(
        self,
        *,
        prompt: Note,
        spring: Spring,
        steps: int = 40,
        seed: int = 0,
        rate: float = 0.1,
        fail_at: int = -1,
        sick_at: int = -1,
        full_at: int = -1,
        signal_at: int = -1,
        signal: Literal["SIGINT", "SIGTERM"] = "SIGINT",
    ) -> None:
        if rate <= 0:
            raise ValueError(f"Wander needs rate > 0, got {rate}.")
        self.prompt, self.spring, self.steps, self.seed, self.rate = prompt, spring, steps, seed, rate
        self.fail_at, self.sick_at, self.full_at = fail_at, sick_at, full_at
        self.signal_at, self.signal = signal_at, signal
        self.prior = Frozen()
        self.walkers = nn.Sequential(nn.Linear(6, 32), nn.Dropout(0.5), nn.Linear(32, 6))
        self.walkers.register_buffer("visits", torch.zeros(6))
        self.average = 0.0
        self.step = 0

    def parameter_groups(self) -> list[dict]:
        return [{"params": list(self.walkers.parameters()), "lr": Cosine(self.rate, 0.0)}]

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        self.step = step
        if step == self.signal_at:
            os.kill(os.getpid(), getattr(signal, self.signal))
        x = torch.randn(16, 6, generator=generator)
        strength = self.spring.strength(step / self.steps)
        distance = (self.walkers(x) - self.prior(x)).pow(2).sum() * strength
        self.average = 0.9 * self.average + 0.1 * float(distance.detach())
        self.log("average", self.average)
        return distance * (float("nan") if step == self.fail_at else 1.0)

    def after_step(self, step: int) -> None:
        self.walkers.visits += torch.rand(6, generator=generator(self.seed, step, "visits"))

    def extra_state(self) -> dict:
        if 0 <= self.full_at <= self.step:
            raise OSError(28, "No space left on device")
        return {"average": self.average}

    def load_extra_state(self, state: dict) -> None:
        self.average = state["average"]

    def health(self) -> str | None:
        return "the scene is empty" if 0 <= self.sick_at <= self.step else None

    def finish(self, run: object) -> dict[str, float]:
        torch.save(self.walkers.state_dict(), run.path("final.pt"))
        return {"average": self.average}


class Count(Task):
    """Writes its words down.

    Args:
        words: Any words.
        size: A number.
        marks: Notes by name.
    """

    def __init__(
        self,
        *,
        words: list[str],
        size: tuple[float, float] = (1.0, 2.0),
        marks: dict[str, Note] | None = None,
    ) -> None:
        self.words, self.size = words, size

    def run(self, run: object) -> None:
        run.path("words.txt").write_text(" ".join(self.words))
        run.write_report({"count": len(self.words), "size": self.size[0]})


class Words:
    """No task, but it takes the options of one."""

    def __init__(self, *, words: list[str], marks: dict[str, Note] | None = None) -> None:
        pass
