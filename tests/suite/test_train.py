"""The training loop on problems whose course is known."""

import pytest
import torch
from torch import nn

from suite.errors import Diverged, UserError
from suite.run import Run, read_metrics
from suite.schedules import Linear
from suite.settings import Settings
from suite.task import Optimization, evolving_tensors
from suite.train import optimize


class Descent(Optimization):
    """f(x) = x^2 / 2 by plain gradient descent from x = 1."""

    def __init__(self, steps=10, rate=0.5, weight=1.0):
        self.steps, self.rate, self.weight = steps, rate, weight
        self.scene = nn.ParameterList([nn.Parameter(torch.ones(()))])
        self.asked, self.shown, self.sick_from = [], [], steps

    def parameter_groups(self):
        return [{"params": list(self.scene), "lr": self.rate}]

    def make_optimizer(self):
        return torch.optim.SGD([{"params": list(self.scene), "lr": 0.5}])

    def loss(self, step, generator):
        self.log("x", self.scene[0])
        return self.weight * self.scene[0] ** 2 / 2

    def health(self):
        self.asked.append(len(self.asked))
        return "the scene is empty" if len(self.asked) > self.sick_from else None

    def preview(self, step, run):
        self.shown.append(step)


@pytest.fixture
def run(tmp_path):
    with Run(tmp_path, settings=Settings(save_every="4 steps", previews=5)) as run:
        yield run


def rows(run):
    return read_metrics(run.directory / "metrics.jsonl")


def test_scheduled_descent_is_the_product_of_its_factors(run):
    """x_n = prod(1 - lr(k / n)): with lr from 1/2 falling to 0, the closed form of ten steps."""
    task = Descent(rate=Linear(0.5, 0.0))
    optimize(task, run)
    expected = torch.prod(1 - torch.linspace(0.5, 0.0, 11)[:10])
    torch.testing.assert_close(task.scene[0].detach(), expected)
    assert [row["step"] for row in rows(run)] == list(range(10))
    assert rows(run)[0]["x"] == rows(run)[0]["gradient"] == 1.0 and rows(run)[0]["loss"] == 0.5


def test_statistics_for_the_report(run):
    """Steps, median step time, evaluations and memory are left for the report."""
    optimize(Descent(), run)
    assert run.statistics["steps"] == 10 and run.statistics["evaluations"] == 0
    assert 0 < run.statistics["step_seconds"] < 5 and run.statistics["peak_memory_mb"] > 0


def test_previews_are_spread_evenly(run):
    """Five previews in ten steps: after every second one, the last at the end."""
    task = Descent()
    optimize(task, run)
    assert task.shown == [2, 4, 6, 8, 10] and len(task.asked) == 10


def test_checkpoints_come_by_steps(run):
    """Every fourth step and the end; the last two stay."""
    optimize(Descent(), run)
    assert [path.stem for path in run.checkpoints().paths()] == ["step-00000008", "step-00000010"]


def test_not_a_number_stops_before_harm(run):
    """A loss that is not finite stops the run before the optimizer's step, naming the last checkpoint."""
    task = Descent()
    task.after_step = lambda step: setattr(task, "weight", float("nan") if step == 5 else 1.0)
    with pytest.raises(Diverged, match=r"stopped at step 6 of 10: the loss is not finite .*step-00000004"):
        optimize(task, run)
    assert torch.isfinite(task.scene[0])


def test_an_infinite_gradient_stops_the_run(run):
    """sqrt has a finite value and an infinite gradient at 0."""
    task = Descent()
    task.loss = lambda step, generator: (task.scene[0] - 1).abs().sqrt()
    with pytest.raises(Diverged, match="a gradient is not finite .* nothing had been saved yet"):
        optimize(task, run)


def test_a_sick_scene_stops_the_run(run):
    """The reason of `health` is the reason of the stop."""
    task = Descent()
    task.sick_from = 3
    with pytest.raises(Diverged, match="stopped at step 3 of 10: the scene is empty"):
        optimize(task, run)


def test_stages_are_kept_apart(run):
    """Two stages have their own checkpoints, metrics and statistics; a finished stage is not run again."""
    optimize(Descent(), run, stage="coarse")
    optimize(Descent(steps=5), run, stage="fine")
    again = Descent()
    optimize(again, run, stage="coarse")
    assert again.scene[0].item() == 0.5**10 and again.shown == []
    assert [row["stage"] for row in rows(run)] == ["coarse"] * 10 + ["fine"] * 5
    assert run.statistics["fine"]["steps"] == 5


def test_tensorboard_events_are_written(tmp_path):
    """tensorboard=true leaves an event file with the loss."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with Run(tmp_path, settings=Settings(tensorboard=True)) as run:
        optimize(Descent(), run)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.value for event in events.Scalars("loss")][0] == 0.5


def test_tensorboard_missing(tmp_path, monkeypatch):
    """Without the extra the error says what to install."""
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    message = r"tensorboard=true needs a package: type pip install 'suite3d\[tensorboard\]'"
    with pytest.raises(UserError, match=message):
        Run(tmp_path, settings=Settings(tensorboard=True)).__enter__()


def mixed():
    """A frozen network with one trained layer inside, a buffer, a volatile buffer, a moving average."""
    module = nn.Module()
    module.frozen = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).requires_grad_(False)
    module.frozen_too = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2, bias=False))
    module.average = nn.Linear(1, 1).requires_grad_(False)
    module.average.evolving = True
    module.register_buffer("grid", torch.zeros(3))
    module.register_buffer("cache", torch.zeros(3), persistent=False)
    return module


def test_what_evolves():
    """Trained parameters, persistent buffers and declared averages evolve; frozen networks do not."""
    expected = {"frozen_too.1.weight", "grid", "average.weight", "average.bias"}
    assert set(evolving_tensors(mixed())) == expected


def test_task_states_round_trip_strictly(tmp_path):
    """Modules in lists and dicts, extra states and other stateful things come back; a misfit is refused."""

    class Counter(nn.Module):
        count = 0

        def get_extra_state(self):
            return self.count

        def set_extra_state(self, count):
            self.count = count

    def make(width=2):
        task = Descent()
        task.parts = {"a": [nn.Linear(width, 1), Counter()]}
        task.other = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
        return task

    task, other = make(), make()
    task.parts["a"][1].count = 7
    other.load_state_dict(task.state_dict())
    assert (
        torch.equal(other.parts["a"][0].weight, task.parts["a"][0].weight) and other.parts["a"][1].count == 7
    )
    with pytest.raises(
        UserError, match=r"The checkpoint does not fit: 1 of another shape \(parts.a.0.weight"
    ):
        make(3).load_state_dict(task.state_dict())
    with pytest.raises(UserError, match=r"2 unexpected \(parts.a.0.bias, parts.a.0.weight\)"):
        Descent().load_state_dict(task.state_dict())
