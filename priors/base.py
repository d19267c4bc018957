"""One interface for every frozen prior: eps, v, x_0 or flow, of latents or pixels, learned or exact.

A prior turns images into what it diffuses (`encode`), words and views into a condition (`embed`), and a noisy
picture into a prediction (`predict`). Guidances and samplers use nothing else of it.
A new prior implements `encode`, `decode`, `encode_text` and `network`.
"""

import warnings
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from priors.prompts import ViewPrompts
from suite.diffusion.noise import Kind, NoiseSchedule, Prediction, per_sample
from suite.geometry.cameras import Cameras
from suite.types import Images, Latents, Times

CACHED_TEXTS = 256  # embeddings kept by a prior; 77 x 768 float32 numbers are 0.24 MB each


@dataclass(frozen=True)
class Condition:
    """What a batch of predictions is conditioned on.

    Args:
        tensors: The network's inputs by name, batch first, as {"tokens": b l d}.
        negative: What classifier-free guidance starts from: the condition of "" or of the negative prompt.
        perpendicular: Perp-Neg's unwanted conditions with their weights, negative to push away.
        empty: The condition of "", from priors whose `embed([""])` would lack something (the cameras).
    """

    tensors: dict[str, Shaped[Tensor, "b ..."]]
    negative: "Condition | None" = None
    perpendicular: "tuple[tuple[Condition, Float[Tensor, ' b']], ...]" = ()
    empty: "Condition | None" = None

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def map(self, function: Callable[[Tensor], Tensor]) -> "Condition":
        """The same condition with `function` applied to every tensor, negatives and weights included."""
        return Condition(
            {name: function(tensor) for name, tensor in self.tensors.items()},
            self.negative and self.negative.map(function),
            tuple((condition.map(function), function(weight)) for condition, weight in self.perpendicular),
            self.empty and self.empty.map(function),
        )

    def __getitem__(self, index: slice | Tensor) -> "Condition":
        return self.map(lambda tensor: tensor[index])

    def to(self, *args: str | torch.device | torch.dtype) -> "Condition":
        """Moved to a device, or its floating-point tensors to a dtype."""
        to_dtype = any(isinstance(arg, torch.dtype) for arg in args)
        return self.map(lambda x: x.to(*args) if x.is_floating_point() or not to_dtype else x)

    def detach(self) -> "Condition":
        """The same numbers without their graph."""
        return self.map(Tensor.detach)

    def repeat(self, times: int) -> "Condition":
        """The batch, `times` times in a row: [a, b] becomes [a, b, a, b]."""
        return self.map(lambda tensor: torch.cat([tensor] * times))

    @staticmethod
    def cat(conditions: "Sequence[Condition]") -> "Condition":
        """One batch of several; `empty` is kept where all have it.

        Raises:
            ValueError: They do not have the same tensors, negatives and number of Perp-Neg texts.
        """
        first = conditions[0]
        signature = sorted({_signature(condition) for condition in conditions})
        if len(signature) > 1:
            raise ValueError(
                f"Conditions of different kinds cannot share a batch: {' and '.join(signature)}."
            )
        return Condition(
            {
                name: torch.cat([condition.tensors[name] for condition in conditions])
                for name in first.tensors
            },
            first.negative and Condition.cat([condition.negative for condition in conditions]),
            tuple(
                (Condition.cat([text for text, _ in column]), torch.cat([weight for _, weight in column]))
                for column in zip(*(condition.perpendicular for condition in conditions))
            ),
            Condition.cat([c.empty for c in conditions]) if all(c.empty for c in conditions) else None,
        )


def _signature(condition: Condition) -> str:
    """What two conditions must share to be one batch, in words."""
    tensors = ", ".join(f"{name} {tuple(x.shape[1:])}" for name, x in sorted(condition.tensors.items()))
    negative = "with" if condition.negative else "without"
    return f"({tensors}; {negative} negative; {len(condition.perpendicular)} perpendicular)"


@dataclass(frozen=True)
class CameraContract:
    """The cameras that a prior was trained on; what it says of other views is unfounded.

    Args:
        fov_deg, distance: Inclusive ranges. Distances are for objects whose longest side is 1.
    """

    fov_deg: tuple[float, float]
    distance: tuple[float, float]

    def check(self, cameras: Cameras) -> None:
        """Warn about cameras outside (once: the message does not depend on them)."""
        for name, unit in (("fov_deg", "degrees"), ("distance", "longest sides")):
            (low, high), values = getattr(self, name), getattr(cameras, name)
            if bool((values < low - 0.01).any() | (values > high + 0.01).any()):
                warnings.warn(
                    f"Some cameras are outside what this prior was trained on: {name} {low:g} to {high:g} "
                    f"{unit}. Set the camera sampler's {name} within it.",
                    stacklevel=2,
                )


class Prior(nn.Module, ABC):
    """A frozen diffusion prior.

    Attributes (set by a subclass's `__init__`):
        schedule: alpha, sigma and the network's time as functions of t.
        kind: What the network predicts.
        latent_channels: Channels of what is diffused; 3 for a prior on pixels.
        factor: Image pixels per latent pixel and side; 1 for a prior on pixels.
        resolution: Side of the images it was trained on, in pixels; `encode` resizes to it.
        camera_contract: The cameras it was trained on, where it was trained on any in particular.
        guidance_scale: The classifier-free scale that suits distilling it; DreamFusion's 100 unless it says otherwise.
        batch_conditions: Whether guidance may evaluate several conditions in one call of the network.
        evaluations: Forward passes of the network so far, counted per image.
    """

    schedule: NoiseSchedule
    kind: Kind
    latent_channels: int
    factor: int
    resolution: int
    camera_contract: CameraContract | None = None
    guidance_scale: float = 100.0
    batch_conditions: bool = True
    evaluations: int = 0

    def __init__(self) -> None:
        super().__init__()
        self._texts: OrderedDict[str, Condition] = OrderedDict()

    @abstractmethod
    def encode(self, images: Images) -> Latents:
        """Images to latents, differentiable in the images."""

    @abstractmethod
    def decode(self, latents: Latents) -> Images:
        """Latents to images."""

    @abstractmethod
    def encode_text(self, texts: Sequence[str]) -> Condition:
        """The condition of each text, without negative; not cached. "" is the unconditional one."""

    @abstractmethod
    def network(self, x_t: Latents, t: Times, condition: Condition) -> Latents:
        """The raw answer of the network, of `kind`, at times in (0, 1] (fed as `schedule.model_time(t)`)."""

    @property
    def device(self) -> torch.device:
        """Where its numbers live."""
        return next((x.device for x in (*self.parameters(), *self.buffers())), torch.device("cpu"))

    def predict(self, x_t: Latents, t: Times, condition: Condition, *, grad: bool = False) -> Prediction:
        """What the prior says about x_t.

        Args:
            grad: Keep the graph through the network: for training parts of it. Distillation never does.
        """
        if not len(x_t) == len(t) == len(condition):
            raise ValueError(
                f"predict needs one time and one condition an image, got {len(x_t)} images, {len(t)} times, "
                f"{len(condition)} conditions."
            )
        with torch.set_grad_enabled(grad and torch.is_grad_enabled()):
            raw = self.network(x_t, t, condition)
        self.evaluations += len(x_t)
        alpha, sigma = (per_sample(x, x_t) for x in self.schedule.alpha_sigma(t))
        return Prediction(x_t=x_t, alpha=alpha, sigma=sigma, raw=raw, kind=self.kind)

    def embed(
        self,
        prompts: Sequence[str] | ViewPrompts,
        cameras: Cameras | None = None,
        image: Images | None = None,
    ) -> Condition:
        """The condition of each prompt, ready for guidance. Texts are embedded once and remembered.

        Args:
            prompts: One text an image, whose negative is then ""; or a prompt seen from some cameras.
            cameras: One an image, for priors that are conditioned on the pose; others leave it unused.
            image: For priors that are conditioned on a picture.

        Raises:
            ValueError: An image is given to a prior that takes none.
        """
        if image is not None:
            raise ValueError(
                f"{type(self).__name__} is not conditioned on images; call embed without image=."
            )
        if isinstance(prompts, str):
            raise ValueError(f"embed takes one text an image, got one string: use embed([{prompts!r}]).")
        views = prompts if isinstance(prompts, ViewPrompts) else ViewPrompts.of_texts(prompts)
        known = self._remember(views.texts)
        perpendicular = tuple(
            (_stack(known, unwanted), weight.to(self.device)) for unwanted, weight in views.perpendicular
        )
        return Condition(_blend(known, views.positive).tensors, _stack(known, views.negative), perpendicular)

    def forget_texts(self) -> None:
        """Drop the remembered embeddings: call it after changing the text encoder."""
        self._texts.clear()

    def _remember(self, texts: Sequence[str]) -> dict[str, Condition]:
        """The embedding of each distinct text, a batch of one each."""
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if new:
            with torch.no_grad():
                encoded = self.encode_text(new)
            self._texts.update((text, encoded[i : i + 1]) for i, text in enumerate(new))
        known = {text: self._texts[text] for text in texts}
        for text in known:
            self._texts.move_to_end(text)
        while len(self._texts) > CACHED_TEXTS:
            self._texts.popitem(last=False)
        return known

    def _apply(self, *args, **kwargs) -> "Prior":
        self.forget_texts()  # .to(device) and .half() leave remembered embeddings behind
        return super()._apply(*args, **kwargs)


def _stack(known: dict[str, Condition], texts: Sequence[str]) -> Condition:
    return Condition.cat([known[text] for text in texts])


def _blend(known: dict[str, Condition], blends: Sequence[Sequence[tuple[str, float]]]) -> Condition:
    """The weighted sum of some texts' embeddings, for each image."""
    rows = []
    for blend in blends:
        if len(blend) == 1:
            rows.append(known[blend[0][0]])
            continue
        tensors = {
            name: sum(w * known[text].tensors[name] for text, w in blend)
            for name in known[blend[0][0]].tensors
        }
        rows.append(Condition(tensors))
    return Condition.cat(rows)
