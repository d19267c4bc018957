"""Cameras: the one place where the suite's camera convention is written down.

World: right-handed, +Z up, +X front; azimuth runs from +X towards +Y in (-180, 180], elevation in [-90, 90].
Camera (OpenGL): +X right, +Y up, looks along -Z. Pixel centres lie at +0.5, rows run downwards.

    position = distance * (cos e cos a, cos e sin a, sin e)
    focal    = 0.5 * height / tan(fov / 2)                              in pixels, the same for x and y
    ray of pixel (i, j), camera space: ((i + .5 - c_x) / focal, -(j + .5 - c_y) / focal, -1), normalised
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from suite.geometry.rays import Rays
from suite.geometry.transforms import look_at, rigid, rigid_inverse, transform_points, wrap_degrees

Numbers = float | int | Sequence[float | int] | Float[Tensor, " b"]


@dataclass(frozen=True)
class Cameras:
    """A batch of pinhole cameras that share an image size.

    Attributes:
        world_from_camera: Rigid transforms of OpenGL cameras.
        fov_deg: Vertical field of view in degrees, in (0, 180).
        height, width: Image size in pixels.
        principal_point: Where the optical axis meets the image, (x, y) in fractions of width and height;
            None is the middle (.5, .5), which every camera but a calibrated real one has.
    """

    world_from_camera: Float[Tensor, "b 4 4"]
    fov_deg: Float[Tensor, " b"]
    height: int
    width: int
    principal_point: Float[Tensor, "b 2"] | None = None

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"Cameras need height and width >= 1, got {self.height} x {self.width}.")
        if not bool(((self.fov_deg > 0) & (self.fov_deg < 180)).all()):
            raise ValueError(f"Cameras need 0 < fov_deg < 180, got {self.fov_deg.tolist()}.")

    @staticmethod
    def orbit(
        azimuth_deg: Numbers,
        elevation_deg: Numbers = 15.0,
        distance: Numbers = 1.8,
        fov_deg: Numbers = 40.0,
        *,
        height: int = 64,
        width: int = 64,
        device: torch.device | str | None = None,
    ) -> "Cameras":
        """Cameras on spheres about the origin, looking at it, upright; exact at elevations of +-90 too.

        Single numbers are shared by all cameras. Tensors decide the device unless it is given.
        """
        given = (azimuth_deg, elevation_deg, distance, fov_deg)
        device = device or next((x.device for x in given if isinstance(x, Tensor)), "cpu")
        values = [torch.as_tensor(x, dtype=torch.float32, device=device).reshape(-1) for x in given]
        lengths = {len(x) for x in values if len(x) != 1}
        if len(lengths) > 1:
            raise ValueError(f"Cameras.orbit got lists of different lengths: {[len(x) for x in values]}.")
        azimuth, elevation, distance, fov = (x.expand(max(map(len, values))) for x in values)
        if not bool((distance > 0).all()):
            raise ValueError(f"Cameras.orbit needs distance > 0, got {distance.tolist()}.")
        if not bool((elevation.abs() <= 90).all()):
            raise ValueError(f"Cameras.orbit needs elevation_deg in [-90, 90], got {elevation.tolist()}.")
        a, e = torch.deg2rad(azimuth), torch.deg2rad(elevation)
        backward = torch.stack([e.cos() * a.cos(), e.cos() * a.sin(), e.sin()], dim=-1)
        right = torch.stack([-a.sin(), a.cos(), torch.zeros_like(a)], dim=-1)
        rotation = torch.stack([right, torch.linalg.cross(backward, right), backward], dim=-1)
        return Cameras(rigid(rotation, distance[:, None] * backward), fov.contiguous(), height, width)

    @staticmethod
    def cat(cameras: Sequence["Cameras"]) -> "Cameras":
        """One batch out of several of the same image size."""
        sizes = {(c.height, c.width) for c in cameras}
        if len(sizes) != 1:
            raise ValueError(f"Cameras.cat needs one image size, got (height, width) {sorted(sizes)}.")
        centred = all(c.principal_point is None for c in cameras)
        return Cameras(
            torch.cat([c.world_from_camera for c in cameras]),
            torch.cat([c.fov_deg for c in cameras]),
            *sizes.pop(),
            None if centred else torch.cat([c._principal_point() for c in cameras]),
        )

    def __len__(self) -> int:
        return len(self.fov_deg)

    def __getitem__(self, index: int | slice | Tensor | Sequence[int]) -> "Cameras":
        """A smaller batch; an integer gives a batch of one."""
        if isinstance(index, int):
            if not -len(self) <= index < len(self):
                raise IndexError(f"camera {index} of {len(self)}")
            index = [index % len(self)]
        point = None if self.principal_point is None else self.principal_point[index]
        return replace(
            self,
            world_from_camera=self.world_from_camera[index],
            fov_deg=self.fov_deg[index],
            principal_point=point,
        )

    def to(self, device: torch.device | str) -> "Cameras":
        """The same cameras on another device."""
        point = None if self.principal_point is None else self.principal_point.to(device)
        return replace(
            self,
            world_from_camera=self.world_from_camera.to(device),
            fov_deg=self.fov_deg.to(device),
            principal_point=point,
        )

    def resized(self, height: int, width: int) -> "Cameras":
        """The same views in another resolution; a wider image keeps the vertical field of view."""
        return replace(self, height=height, width=width)

    def _principal_point(self) -> Float[Tensor, "b 2"]:
        if self.principal_point is not None:
            return self.principal_point
        return torch.full_like(self.world_from_camera[:, 0, :2], 0.5)

    @property
    def center_px(self) -> Float[Tensor, "b 2"]:
        """Principal point (c_x, c_y) in pixels."""
        return self._principal_point() * self.fov_deg.new_tensor([self.width, self.height])

    @property
    def focal_px(self) -> Float[Tensor, " b"]:
        """Focal length in pixels, the same for x and y."""
        return 0.5 * self.height / torch.tan(torch.deg2rad(self.fov_deg) / 2)

    @property
    def position(self) -> Float[Tensor, "b 3"]:
        """Camera centres in the world."""
        return self.world_from_camera[:, :3, 3]

    @property
    def distance(self) -> Float[Tensor, " b"]:
        """Distance of the camera from the origin."""
        return self.position.norm(dim=-1)

    @property
    def elevation_deg(self) -> Float[Tensor, " b"]:
        """Elevation of the position, in [-90, 90]."""
        x, y, z = self.position.unbind(-1)
        return torch.rad2deg(torch.atan2(z, torch.hypot(x, y)))

    @property
    def azimuth_deg(self) -> Float[Tensor, " b"]:
        """Azimuth of the position, in (-180, 180]. Above and below the origin, where the position has none,
        it is read from the camera's right axis, which is (-sin a, cos a, 0) on an orbit."""
        x, y, _ = self.position.unbind(-1)
        at_pole = torch.hypot(x, y) <= 1e-5 * self.distance
        right = self.world_from_camera[:, :3, 0]
        y, x = torch.where(at_pole, -right[:, 0], y), torch.where(at_pole, right[:, 1], x)
        return wrap_degrees(torch.rad2deg(torch.atan2(y, x)))

    @property
    def camera_from_world(self) -> Float[Tensor, "b 4 4"]:
        """Inverse of `world_from_camera`."""
        return rigid_inverse(self.world_from_camera)

    def clip_from_world(self, near: float | int = 0.01, far: float | int = 100.0) -> Float[Tensor, "b 4 4"]:
        """OpenGL clip space: visible points have |x|, |y|, |z| <= w; w is the depth along the view axis."""
        if not 0 < near < far:
            raise ValueError(f"clip_from_world needs 0 < near < far, got near={near}, far={far}.")
        clip_from_camera = torch.zeros_like(self.world_from_camera)
        clip_from_camera[:, 0, 0] = 2 * self.focal_px / self.width
        clip_from_camera[:, 1, 1] = 2 * self.focal_px / self.height
        point = self._principal_point()
        clip_from_camera[:, 0, 2] = 1 - 2 * point[:, 0]
        clip_from_camera[:, 1, 2] = 2 * point[:, 1] - 1
        clip_from_camera[:, 2, 2] = -(far + near) / (far - near)
        clip_from_camera[:, 2, 3] = -2 * far * near / (far - near)
        clip_from_camera[:, 3, 2] = -1
        return clip_from_camera @ self.camera_from_world

    def rays(self) -> Rays:
        """One ray through the centre of each pixel, directions normalised."""
        i = torch.arange(self.width, device=self.fov_deg.device) + 0.5
        j = torch.arange(self.height, device=self.fov_deg.device) + 0.5
        c, focal = self.center_px, self.focal_px[:, None]
        x, y = (i - c[:, :1]) / focal, -(j - c[:, 1:]) / focal
        shape = (len(self), self.height, self.width)
        x, y = x[:, None, :].expand(shape), y[:, :, None].expand(shape)
        d_camera = torch.stack([x, y, -torch.ones_like(x)], dim=-1)
        d_world = torch.einsum("bij,bhwj->bhwi", self.world_from_camera[:, :3, :3], d_camera)
        origins = self.position[:, None, None, :].expand(*shape, 3)
        return Rays(origins, torch.nn.functional.normalize(d_world, dim=-1))

    def project(
        self, points_world: Float[Tensor, "n 3"]
    ) -> tuple[Float[Tensor, "b n 2"], Float[Tensor, "b n"]]:
        """World points to pixels (x right, y down, pixel centres at +.5) and depth (positive in front).

        Depth is measured along the view axis. Pixels of points at depth <= 0 mean nothing.
        """
        p_camera = transform_points(self.camera_from_world[:, None], points_world)
        depth = -p_camera[..., 2]
        safe = torch.where(depth.abs() < 1e-9, 1e-9, depth)[..., None]
        flipped = p_camera[..., :2] * p_camera.new_tensor([1.0, -1.0])
        return self.center_px[:, None] + self.focal_px[:, None, None] * flipped / safe, depth


def orbit_path(
    count: int,
    elevation_deg: float | int = 15.0,
    distance: float | int = 1.8,
    fov_deg: float | int = 40.0,
    *,
    height: int = 64,
    width: int = 64,
    start_deg: float | int = 0.0,
) -> Cameras:
    """A turntable: `count` cameras at equal steps of azimuth over a full turn, the first at `start_deg`."""
    if count < 1:
        raise ValueError(f"orbit_path needs count >= 1, got {count}.")
    azimuth = start_deg + 360.0 * torch.arange(count) / count
    return Cameras.orbit(wrap_degrees(azimuth), elevation_deg, distance, fov_deg, height=height, width=width)


class CameraSampler:
    """Random cameras for distillation (DreamFusion 2022, arXiv:2209.14988, appendix A.2; threestudio).

    Args:
        azimuth_deg, elevation_deg, distance, fov_deg: Ranges (low, high), both ends included.
        height, width: Image size in pixels.
        views: Cameras in a batch.
        stratified_azimuth: Draw one azimuth in each of `views` equal slices of the range, so that a batch
            sees all sides. False draws them independently.
        elevation_uniform_angle: Probability that a view's elevation is uniform in angle; otherwise it is
            uniform in area on the sphere (asin of a uniform sine). DreamFusion: .5.
        position_jitter: Half-width of a uniform shift of the position along each axis. DreamFusion: .1.
        center_jitter: Standard deviation of the point looked at, about the origin. DreamFusion: .2.
        up_jitter: Standard deviation of the noise added to the up vector. DreamFusion: .02.
    """

    def __init__(
        self,
        *,
        azimuth_deg: Sequence[float | int] = (-180, 180),
        elevation_deg: Sequence[float | int] = (-10, 60),
        distance: Sequence[float | int] = (1.75, 1.85),
        fov_deg: Sequence[float | int] = (40, 40),
        height: int = 64,
        width: int = 64,
        views: int = 2,
        stratified_azimuth: bool = True,
        elevation_uniform_angle: float | int = 0.5,
        position_jitter: float | int = 0.0,
        center_jitter: float | int = 0.0,
        up_jitter: float | int = 0.0,
    ) -> None:
        self.azimuth_deg = _range("azimuth_deg", azimuth_deg, -360.0, 360.0)
        self.elevation_deg = _range("elevation_deg", elevation_deg, -90.0, 90.0)
        self.distance = _range("distance", distance, 1e-6, math.inf)
        self.fov_deg = _range("fov_deg", fov_deg, 1e-3, 179.0)
        for name, value in {"height": height, "width": width, "views": views}.items():
            if value < 1:
                raise ValueError(f"CameraSampler needs {name} >= 1, got {value}.")
        if not 0 <= elevation_uniform_angle <= 1:
            raise ValueError(
                f"CameraSampler needs elevation_uniform_angle in [0, 1], got {elevation_uniform_angle}."
            )
        jitters = {"position_jitter": position_jitter, "center_jitter": center_jitter, "up_jitter": up_jitter}
        for name, value in jitters.items():
            if value < 0:
                raise ValueError(f"CameraSampler needs {name} >= 0, got {value}.")
        self.height, self.width, self.views = height, width, views
        self.stratified_azimuth = stratified_azimuth
        self.elevation_uniform_angle = elevation_uniform_angle
        self.position_jitter, self.center_jitter, self.up_jitter = position_jitter, center_jitter, up_jitter

    def sample(self, generator: torch.Generator) -> Cameras:
        """`views` cameras on the generator's device; every random number comes from `generator`."""
        n, device = self.views, generator.device
        # as many draws whatever the options are, one row a use
        u = torch.rand(8, n, generator=generator, device=device)
        azimuth = (torch.arange(n, device=device) + u[0]) / n if self.stratified_azimuth else u[0]
        low, high = (math.sin(math.radians(x)) for x in self.elevation_deg)
        by_area = torch.rad2deg(torch.asin((low + (high - low) * u[2]).clamp(-1, 1)))
        by_area = by_area.clamp(*self.elevation_deg)  # float32 rounding of sin and asin
        by_angle = _between(u[2], self.elevation_deg)
        elevation = torch.where(u[1] < self.elevation_uniform_angle, by_angle, by_area)
        cameras = Cameras.orbit(
            wrap_degrees(_between(azimuth, self.azimuth_deg)),
            elevation,
            _between(u[3], self.distance),
            _between(u[4], self.fov_deg),
            height=self.height,
            width=self.width,
        )
        normal = torch.randn(2, n, 3, generator=generator, device=device)
        if not (self.position_jitter or self.center_jitter or self.up_jitter):
            return cameras
        position = cameras.position + self.position_jitter * (2 * u[5:8].T - 1)
        up = torch.tensor([0.0, 0, 1], device=device) + self.up_jitter * normal[1]
        return replace(cameras, world_from_camera=look_at(position, self.center_jitter * normal[0], up))


def _range(name: str, ends: Sequence[float | int], low: float, high: float) -> tuple[float, float]:
    if len(ends) != 2 or not low <= ends[0] <= ends[1] <= high:
        raise ValueError(
            f"CameraSampler needs {name}=[low, high] with {low:g} <= low <= high <= {high:g}, "
            f"got {list(ends)}."
        )
    return float(ends[0]), float(ends[1])


def _between(u: Float[Tensor, " n"], ends: tuple[float, float]) -> Float[Tensor, " n"]:
    return ends[0] + (ends[1] - ends[0]) * u
