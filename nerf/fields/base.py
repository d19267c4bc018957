"""What a field is: density and colour at every place of a box, and the normals that follow from the density.

raw      what the concrete field stores or computes at x, in (-inf, inf)
blob     a ball added to raw, so that training starts from something rather than from fog
density  gain / radius * activation(raw + blob(x / radius))      per unit of length
normal   -grad(raw + blob) / |grad(raw + blob)|: the activations are monotone, so the density's gradient
         has the same direction, without its underflow in empty space
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from suite.schedules import Schedule

NORMALS = ("analytic", "finite_difference")


@dataclass(frozen=True)
class FieldSample:
    """A field at some places.

    Attributes:
        density: Per unit of length, >= 0: a ray loses the share density * d of its light on a short way d.
        albedo: RGB in [0, 1].
        normals: Unit vectors out of the object, zero where the density is constant; None if not asked for.
    """

    density: Float[Tensor, " *n"]
    albedo: Float[Tensor, "*n 3"]
    normals: Float[Tensor, "*n 3"] | None = None


@dataclass(frozen=True, kw_only=True)
class Density:
    """How raw numbers become density.

    Attributes:
        activation: "softplus", or "exp" (of at most 15).
        blob: "magic3d", height * (1 - |x| / width) (Magic3D 2022, arXiv:2211.10440, section 3.1);
            "dreamfusion", height * exp(-|x|^2 / (2 width^2)) (DreamFusion 2022, arXiv:2209.14988, appendix
            A.2); or "none".
        blob_height, blob_width: Those of the formula; |x| is 1 at the middle of a face of the field's box.
            Magic3D takes 10 and .5 with softplus, DreamFusion 5 and .2 with exp.
        gain: Multiplies the density; with more of it fewer steps lead from fog to a surface.
    """

    activation: str = "softplus"
    blob: str = "magic3d"
    blob_height: float | int = 10.0
    blob_width: float | int = 0.5
    gain: float | int = 1.0

    def __post_init__(self) -> None:
        if self.activation not in ("softplus", "exp"):
            raise ValueError(f"'{self.activation}' is not a density activation: 'softplus' or 'exp'.")
        if self.blob not in ("magic3d", "dreamfusion", "none"):
            raise ValueError(f"'{self.blob}' is not a density blob: 'magic3d', 'dreamfusion' or 'none'.")
        if self.blob_width <= 0 or self.gain <= 0:
            raise ValueError(
                f"Density needs blob_width > 0 and gain > 0, got {self.blob_width} and {self.gain}."
            )

    def add_blob(self, raw: Float[Tensor, " n"], unit: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """raw + blob(x), at places x in [-1, 1]^3."""
        square = unit.square().sum(-1)
        if self.blob == "dreamfusion":
            return raw + self.blob_height * torch.exp(-0.5 / self.blob_width**2 * square)
        if self.blob == "magic3d":  # 1e-12: the root has no derivative at the centre
            return raw + self.blob_height * (1 - (square + 1e-12).sqrt() / self.blob_width)
        return raw

    def activate(self, logit: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """gain * activation(logit). exp(89) is infinite in float32; exp(15) is opaque already."""
        if self.activation == "softplus":
            return self.gain * nn.functional.softplus(logit)
        return self.gain * torch.exp(logit.clamp_max(15.0))


class Field(nn.Module, ABC):
    """Density and colour inside the box [-radius, radius]^3. A concrete field defines `raw`."""

    def __init__(
        self,
        radius: float | int = 0.6,
        density: Density | None = None,
        normals: str = "analytic",
        normal_step: float | int = 0.02,
        lr: float | int = 0.01,
    ) -> None:
        super().__init__()
        if radius <= 0 or normal_step <= 0 or lr <= 0:
            raise ValueError(
                f"A field needs radius > 0, normal_step > 0 and lr > 0, got {radius=}, {normal_step=}, {lr=}."
            )
        if normals not in NORMALS:
            raise ValueError(f"'{normals}' is not a kind of normals: 'analytic' or 'finite_difference'.")
        self.radius, self.density_head = float(radius), density or Density()
        self.normal_kind, self.normal_step, self.lr = normals, float(normal_step), float(lr)

    @abstractmethod
    def raw(self, unit: Float[Tensor, "n 3"]) -> Float[Tensor, "n 4"]:
        """Raw density and the logits of red, green, blue at places in [-1, 1]^3."""

    def set_progress(self, progress: float) -> None:
        """Tell the field how far the run is, in [0, 1]; for levels that are switched on in turn."""

    def parameter_groups(self, decay: Schedule) -> list[dict]:
        """Groups for the optimizer: the field's learning rate times `decay`."""
        return [{"params": list(self.parameters()), "lr": Multiple(decay, self.lr)}]

    def forward(self, points: Float[Tensor, "*n 3"], normals: bool = False) -> FieldSample:
        """Density and colour, and normals if asked for, at places of the world."""
        shape, points = points.shape[:-1], points.reshape(-1, 3)
        if normals and self.normal_kind == "analytic":
            logit, color, normal = self._with_analytic_normals(points)
        else:
            logit, color = self._evaluate(points)
            normal = self.normals(points) if normals else None
        return FieldSample(
            (self.density_head.activate(logit) / self.radius).reshape(shape),
            torch.sigmoid(color).reshape(*shape, 3),
            None if normal is None else normal.reshape(*shape, 3),
        )

    def density(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, " *n"]:
        """Density per unit of length alone."""
        logit, _ = self._evaluate(points.reshape(-1, 3))
        return (self.density_head.activate(logit) / self.radius).reshape(points.shape[:-1])

    def normals(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """Unit normals, by the derivative or by central differences over `normal_step` times the radius."""
        flat = points.reshape(-1, 3)
        if self.normal_kind == "analytic":
            return self._with_analytic_normals(flat)[2].reshape(points.shape)
        eps = self.normal_step * self.radius
        offsets = eps * torch.eye(3, dtype=points.dtype, device=points.device)
        around = torch.stack([flat[:, None] + offsets, flat[:, None] - offsets])
        ahead, behind = self._evaluate(around.reshape(-1, 3))[0].reshape(2, -1, 3)
        return _normalize((behind - ahead) / (2 * self.normal_step)).reshape(points.shape)

    def _evaluate(self, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
        unit = points / self.radius
        raw = self.raw(unit)
        return self.density_head.add_blob(raw[:, 0], unit), raw[:, 1:]

    def _with_analytic_normals(
        self, points: Float[Tensor, "n 3"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
        wanted = torch.is_grad_enabled()
        with torch.enable_grad():
            points = points if points.requires_grad else points.detach().requires_grad_()
            logit, color = self._evaluate(points)
            (gradient,) = torch.autograd.grad(logit.sum(), points, create_graph=wanted)
        if not wanted:
            logit, color = logit.detach(), color.detach()
        return logit, color, _normalize(-self.radius * gradient)


@dataclass(frozen=True)
class Multiple(Schedule):
    """A schedule times a number."""

    schedule: Schedule
    factor: float | int

    def __call__(self, progress: float) -> float:
        return self.factor * self.schedule(progress)


def _normalize(vectors: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Unit vectors, with a bounded derivative where the vector is short: raw numbers differ by more than
    .01 across the box wherever there is a surface."""
    return vectors / (vectors.square().sum(-1, keepdim=True) + 1e-4).sqrt()


def mlp(sizes: list[int], generator: torch.Generator, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers of these widths with activations between them; weights He-uniform, biases zero."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
        linear = torch.nn.utils.skip_init(
            nn.Linear, inputs, outputs
        )  # draws nothing from the global generator
        nn.init.kaiming_uniform_(linear.weight, a=math.sqrt(5), generator=generator)
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers[:-1])
