"""What the command line runs: a task, whose constructor is its options.

An optimization is a task that takes gradient steps; suite/train.py is its one loop. Randomness in `loss` and
`after_step` comes from the generator passed in, or from `suite.rng.generator(seed, step, name)`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from suite.io.weights import check_same_tensors

if TYPE_CHECKING:
    from suite.run import Run


class Task(ABC):
    """Anything that fills a run directory.

    Class attribute:
        reruns: Whether the same command runs a finished task again, because what it reads may have changed.
    """

    reruns: bool = False

    @abstractmethod
    def run(self, run: "Run") -> None:
        """Does the work and writes into `run`; called again, it goes on where it was stopped."""


class Optimization(Task):
    """Gradient steps on what the task holds. Subclasses give `steps`, `parameter_groups` and `loss`.

    Every attribute that is an `nn.Module` (or has `state_dict` and `load_state_dict`), alone or in a list or
    dict, is saved in checkpoints; other values through `extra_state`. Frozen parameters are left out: they
    are the prior's and come from its own files. A module whose frozen parameters do change (a moving average)
    says so with an attribute `evolving = True`.
    """

    steps: int

    @abstractmethod
    def parameter_groups(self) -> list[dict]:
        """What is optimized, as torch wants it: {"params": [...], "lr": number or Schedule, ...}."""

    @abstractmethod
    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        """The whole training step up to the scalar to differentiate. May call `self.log`."""

    def after_step(self, step: int) -> None:
        """Called after the optimizer's step: occupancy, moving averages."""

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Adam as Instant NGP has it (Mueller et al. 2022): a tiny eps, for table entries rarely touched.

        The fused kernel is elementwise: deterministic, and on a CPU several times faster than the loop.
        """
        groups = [group | {"lr": _start(group["lr"])} for group in self.parameter_groups()]
        return torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15, fused=True)

    def health(self) -> str | None:
        """Why going on makes no sense (an empty scene, saturated opacity), or None. Asked 50 times a run."""
        return None

    def preview(self, step: int, run: "Run") -> None:
        """Pictures of the state after `step` steps; must not change it."""

    def finish(self, run: "Run") -> dict[str, float]:
        """Makes the final products; returns the measures for the report."""
        return {}

    def run(self, run: "Run") -> None:
        from suite.train import optimize

        optimize(self, run)
        run.write_report(self.finish(run))

    def log(self, name: str, value: Tensor | float) -> None:
        """Notes a number of this step, for the progress line and metrics.jsonl."""
        self.__dict__.setdefault("_logged", {})[name] = value.detach() if isinstance(value, Tensor) else value

    def take_logged(self) -> dict[str, float]:
        """The numbers noted since the last call, as floats."""
        return {name: float(value) for name, value in self.__dict__.pop("_logged", {}).items()}

    def to(self, device: str | torch.device) -> None:
        """Moves every module to the device."""
        for _, part in self._parts():
            if isinstance(part, nn.Module):
                part.to(device)

    def extra_state(self) -> dict[str, Any]:
        """Plain values and tensors that evolve and live in no module, for `load_extra_state`."""
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """The inverse of `extra_state`."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that evolves."""
        parts = {name: _state_of(part) for name, part in self._parts()}
        return {"parts": parts, "extra": self.extra_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up a state, strictly.

        Raises:
            UserError: A part or tensor is missing, unexpected or of another shape.
        """
        parts = dict(self._parts())
        check_same_tensors(_tensors(self.state_dict()["parts"]), _tensors(state["parts"]), "The checkpoint")
        for name, part in parts.items():
            _load(part, state["parts"][name])
        self.load_extra_state(state["extra"])

    def _parts(self) -> Iterator[tuple[str, Any]]:
        """(path, module or other thing with a state) of every attribute that has something to save."""
        for name, value in vars(self).items():
            if not isinstance(value, Task):  # a later stage has checkpoints of its own
                yield from _stateful(name, value)


def _stateful(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _stateful(f"{name}.{key}", item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _stateful(f"{name}.{index}", item)
    elif isinstance(value, nn.Module):
        yield name, value
    elif all(
        isinstance(getattr(value, method, None), Callable) for method in ("state_dict", "load_state_dict")
    ):
        yield name, value


def _state_of(part: Any) -> dict[str, Any]:
    if not isinstance(part, nn.Module):
        return part.state_dict()
    extra = {name: module.get_extra_state() for name, module in _with_extra_state(part)}
    return {"tensors": evolving_tensors(part), "extra": extra}


def _load(part: Any, state: dict[str, Any]) -> None:
    if not isinstance(part, nn.Module):
        part.load_state_dict(state)
        return
    with torch.no_grad():
        for name, tensor in evolving_tensors(part).items():
            tensor.copy_(state["tensors"][name])
    for name, module in _with_extra_state(part):
        module.set_extra_state(state["extra"][name])


def _tensors(parts: dict[str, Any]) -> dict[str, Tensor]:
    """Path -> tensor of every module among the parts, for comparison."""
    modules = {name: state["tensors"] for name, state in parts.items() if set(state) == {"tensors", "extra"}}
    return {f"{name}.{key}": tensor for name, tensors in modules.items() for key, tensor in tensors.items()}


def _with_extra_state(module: nn.Module) -> list[tuple[str, nn.Module]]:
    plain = nn.Module.get_extra_state
    return [(name, m) for name, m in module.named_modules() if type(m).get_extra_state is not plain]


def evolving_tensors(module: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    """The module's persistent tensors without frozen parameters and without submodules frozen altogether."""
    if getattr(module, "evolving", False):
        return {prefix + name: tensor for name, tensor in module.state_dict(keep_vars=True).items()}
    parameters = list(module.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        return {}
    kept = {prefix + n: p for n, p in module.named_parameters(recurse=False) if p.requires_grad}
    volatile = module._non_persistent_buffers_set
    kept |= {prefix + n: b for n, b in module.named_buffers(recurse=False) if n not in volatile}
    for name, child in module.named_children():
        kept |= evolving_tensors(child, f"{prefix}{name}.")
    return kept


def _start(rate: Any) -> float:
    return float(rate(0.0)) if callable(rate) else float(rate)
