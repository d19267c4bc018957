"""What trainings of independent judges share: seeds of their own, a warm cosine, the files at the end."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch

from suite.run import Run
from suite.schedules import Cosine, Linear, Schedule
from suite.task import Optimization

SEED = 1_000_003  # added to the run's seed: priors are trained on other pictures
NOT_ASKED = -1  # the target of a question that a picture has no answer to


class WarmCosine(Schedule):
    """Up linearly in the first thirtieth, then down to nothing along a cosine."""

    def __init__(self, highest: float) -> None:
        self.up, self.down = Linear(0.02 * highest, highest, until=1 / 30), Cosine(highest, 0.0)

    def __call__(self, progress: float) -> float:
        return min(self.up(progress), self.down(progress))


class JudgeTraining(Optimization):
    """Trains `self.judge` at `self.rate`; then the run directory's `kind/` holds it, as does `export`."""

    kind: str
    judge: Any  # a network with a method `save(folder)`
    rate: float
    export: str | None
    seed: int

    def parameter_groups(self) -> list[dict]:
        return [{"params": list(self.judge.parameters()), "lr": WarmCosine(self.rate)}]

    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.judge.parameters(), lr=self.rate, weight_decay=0.02, fused=True)

    @abstractmethod
    def examined(self, seed: int) -> dict[str, float]:
        """Accuracies on true renders of a seed that neither this judge nor a prior has seen."""

    def finish(self, run: Run) -> dict[str, float]:
        """Writes the judge and measures it."""
        self.judge.eval()
        for folder in filter(None, (run.path(self.kind, "x").parent, self.export)):
            self.judge.save(Path(folder))
        return self.examined(2 * SEED + self.seed)
