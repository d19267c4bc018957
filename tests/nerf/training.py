"""Steps of a task without a run directory."""

import copy

import torch

from suite.rng import generator
from suite.task import Optimization


def advance(task: Optimization, optimizer: torch.optim.Optimizer, start: int, stop: int) -> None:
    """The steps start .. stop - 1, as `suite.train` takes them."""
    for step in range(start, stop):
        for group, given in zip(optimizer.param_groups, task.parameter_groups()):
            group["lr"] = given["lr"](step / task.steps)
        optimizer.zero_grad(set_to_none=True)
        task.loss(step, generator(0, step, "step")).backward()
        optimizer.step()
        task.after_step(step)


def train(task: Optimization) -> Optimization:
    """All steps."""
    advance(task, task.make_optimizer(), 0, task.steps)
    return task


def resumed(make, at: int) -> tuple[dict, dict]:
    """The states after all steps of an uninterrupted run, and of one that goes on in a new process at `at`."""
    whole = train(make())
    first, optimizer = make(), None
    optimizer = first.make_optimizer()
    advance(first, optimizer, 0, at)
    task_state, optimizer_state = copy.deepcopy((first.state_dict(), optimizer.state_dict()))
    second = make()
    second.load_state_dict(task_state)
    optimizer = second.make_optimizer()
    optimizer.load_state_dict(optimizer_state)
    advance(second, optimizer, at, second.steps)
    return whole.state_dict(), second.state_dict()


def same(a: object, b: object) -> bool:
    """Equal to the last bit, tensors in nested dicts."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
