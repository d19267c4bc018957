"""Light on a field: albedo, textureless and Lambertian pictures, mixed at random while training.

    colour = albedo * (diffuse * max(0, n . l) + ambient)         (DreamFusion, arXiv:2209.14988, 3.1)

A prior that sees the same object lit from many sides, and now and then without its colours, cannot be
satisfied by a flat object with a picture painted on it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from suite.geometry.cameras import Cameras

SAMPLING = ("dreamfusion", "magic3d", "camera")


@dataclass(frozen=True)
class Lighting:
    """A point light for each image, and how surfaces answer it.

    Attributes:
        position: Of the lights.
        ambient, diffuse: Weights of the two terms, for each image.
        textureless: Show white instead of the albedo.
    """

    position: Float[Tensor, "b 3"]
    ambient: Float[Tensor, " b"]
    diffuse: Float[Tensor, " b"]
    textureless: bool = False

    needs_normals = True

    def shade(
        self,
        albedo: Float[Tensor, "n 3"],
        normals: Float[Tensor, "n 3"],
        points: Float[Tensor, "n 3"],
        image: Int[Tensor, " n"],
    ) -> Float[Tensor, "n 3"]:
        """Colours of samples that belong to the images `image`."""
        towards = torch.nn.functional.normalize(self.position[image] - points, dim=-1)
        lambert = (normals * towards).sum(-1).clamp_min(0)
        light = self.ambient[image] + self.diffuse[image] * lambert
        base = torch.ones_like(albedo) if self.textureless else albedo
        return base * light[:, None]


class Shading:
    """Draws the light of a training step; one mode for all its images.

    Args:
        shaded: Probability of a lit picture instead of the albedo. DreamFusion: .75.
        textureless: Probability that a lit picture is textureless. DreamFusion: .5.
        albedo_until: Progress before which only the albedo is shown, while the shape is still fog.
        ambient, diffuse: Weights of the two terms. DreamFusion: .1 and .9.
        soft: Draw ambient uniformly in [ambient, 1] instead, with diffuse = 1 - ambient (Magic3D).
        light: Where lights stand. "dreamfusion": towards the camera's position plus unit normal noise, at a
            distance of .8 to 1.5 times the camera's; "magic3d": within 60 degrees of the camera's direction;
            "camera": at the camera.
    """

    def __init__(
        self,
        *,
        shaded: float | int = 0.75,
        textureless: float | int = 0.5,
        albedo_until: float | int = 0.1,
        ambient: float | int = 0.1,
        diffuse: float | int = 0.9,
        soft: bool = False,
        light: str = "dreamfusion",
    ) -> None:
        shares = {
            "shaded": shaded,
            "textureless": textureless,
            "albedo_until": albedo_until,
            "ambient": ambient,
        }
        for name, value in shares.items():
            if not 0 <= value <= 1:
                raise ValueError(f"Shading needs {name} in [0, 1], got {value}.")
        if light not in SAMPLING:
            raise ValueError(f"'{light}' is not a way to place lights: one of {', '.join(SAMPLING)}.")
        if diffuse < 0:
            raise ValueError(f"Shading needs diffuse >= 0, got {diffuse}.")
        self.shaded, self.textureless, self.albedo_until = shaded, textureless, albedo_until
        self.ambient, self.diffuse, self.soft, self.light = float(ambient), float(diffuse), soft, light

    def draw(self, cameras: Cameras, progress: float, generator: torch.Generator) -> Lighting | None:
        """A light for each camera, or None where the albedo is to be shown."""
        u = torch.rand(3, generator=generator, device=generator.device).tolist()
        position = self._positions(cameras.position, generator)
        if progress < self.albedo_until or u[0] >= self.shaded:
            return None
        ambient, diffuse = self.ambient, self.diffuse
        if self.soft:
            ambient = self.ambient + (1 - self.ambient) * u[2]
            diffuse = 1 - ambient
        every = position.new_ones(len(cameras))
        return Lighting(position, ambient * every, diffuse * every, textureless=u[1] < self.textureless)

    def _positions(self, eye: Float[Tensor, "b 3"], generator: torch.Generator) -> Float[Tensor, "b 3"]:
        b, device = len(eye), generator.device
        noise = torch.randn(b, 3, generator=generator, device=device).to(eye.device)
        u = torch.rand(b, 2, generator=generator, device=device).to(eye.device)
        distance = eye.norm(dim=-1, keepdim=True)
        if self.light == "camera":
            return eye
        if self.light == "dreamfusion":
            direction = torch.nn.functional.normalize(eye + noise, dim=-1)
        else:
            # a cap about the viewing axis, uniform in area: cos of the angle to it uniform in [cos 60, 1]
            axis = eye / distance
            side = torch.nn.functional.normalize(noise - (noise * axis).sum(-1, keepdim=True) * axis, dim=-1)
            cosine = 1 - 0.5 * u[:, 1:]
            direction = cosine * axis + (1 - cosine**2).sqrt() * side
        return direction * distance * (0.8 + 0.7 * u[:, :1])
