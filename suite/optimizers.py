"""Muon for a network's matrices and AdamW for the rest of it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class MuonWithAdamW(torch.optim.Optimizer):
    """Orthogonal momentum for matrices (Muon, Jordan et al. 2024; scaled as arXiv:2502.16982), AdamW for others.

    A convolution is the matrix of its output channels. Both kinds of steps have the same size in the root mean square,
    so that one learning rate serves both.

    Args:
        matrices: Weights of linear layers and convolutions inside a network.
        others: Embeddings, biases, norms, the last layer.
        lr: Of both: a number, or what a schedule sets later.
        weight_decay: Decoupled.
    """

    def __init__(
        self,
        matrices: list[nn.Parameter],
        others: list[nn.Parameter],
        *,
        lr: float,
        weight_decay: float = 0.01,
    ) -> None:
        groups = [{"params": matrices}, {"params": others}]
        super().__init__([group for group in groups if group["params"]], {"lr": lr})
        self.matrices = matrices
        # views of the parameters' own storage: a step on them is a step on the parameters
        self.flat = [nn.Parameter(_flat(p.data)) for p in matrices]
        self.parts: list[torch.optim.Optimizer] = []
        if matrices:
            muon = torch.optim.Muon(
                self.flat, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
            )
            self.parts.append(muon)
        if others:
            fused = torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.99), weight_decay=weight_decay, fused=True)
            self.parts.append(fused)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """One step with the gradients as they are."""
        loss = closure() if closure else None
        for flat, p in zip(self.flat, self.matrices):
            flat.grad = None if p.grad is None else _in_order(p.grad, p).reshape(flat.shape)
        for part, group in zip(self.parts, self.param_groups):
            part.param_groups[0]["lr"] = group["lr"]
            part.step()
        return loss

    def state_dict(self) -> dict:
        """The states of both."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict) -> None:
        """Takes up what `state_dict` gave."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)


def _in_order(x: Tensor, like: Tensor) -> Tensor:
    """x with its axes as `like` has them in memory, which for Muon are columns in another order."""
    return x if like.is_contiguous() else x.movedim(1, -1)


def _flat(p: Tensor) -> Tensor:
    """A matrix that is a view of a contiguous tensor, or of one with its channels last."""
    return _in_order(p, p).view(len(p), -1)


def matrices_and_others(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Which of what a network learns Muon serves; embeddings, vectors and layers named conv_out are the others."""
    matrices, others = [], []
    tables = {id(m.weight) for m in network.modules() if isinstance(m, nn.Embedding)}
    for name, p in network.named_parameters():
        if not p.requires_grad:
            continue
        inside = p.dim() in (2, 4) and id(p) not in tables and "conv_out" not in name
        (matrices if inside else others).append(p)
    return matrices, others
