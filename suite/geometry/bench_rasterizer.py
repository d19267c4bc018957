"""`suite bench rasterizer`: a picture of a mesh and its gradient, beside Open3D's ray casting.

Both are given new vertices each time, as an optimization does: Open3D builds its tree and casts a ray through
each pixel centre, which gives faces and barycentrics and no gradient; the rasterizer also interpolates colours
and a mask, antialiases them, and in `backward` returns the gradients of vertices and colours. One thread; on a
CPU the time is the process's own, which other programs on the machine disturb less than the clock's.
"""

import time
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
import torch

from suite.errors import UserError
from suite.geometry.antialiasing import antialias
from suite.geometry.cameras import Cameras
from suite.geometry.mesh import Mesh
from suite.geometry.rasterizer import clip_positions, interpolate, rasterize
from suite.rng import generator
from suite.run import Run
from suite.task import Task

RATIO_BAR, BAR_SIZE = 2.0, 256  # forward and backward over Open3D's build and cast, at so many pixels


class BenchRasterizer(Task):
    """Times a torus seen from one camera.

    Args:
        faces: Of the mesh, about.
        sizes: Pictures' heights and widths in pixels.
        repeats: Times that each is measured, in turns; the median counts.
    """

    reruns = True

    def __init__(self, *, faces: int = 50_000, sizes: Sequence[int] = (256, 512), repeats: int = 15) -> None:
        if faces < 100 or repeats < 1 or not sizes or min(sizes) < 8:
            raise UserError(
                f"bench rasterizer needs faces >= 100, sizes of 8 or more pixels and repeats >= 1, "
                f"got {faces=}, sizes={list(sizes)}, {repeats=}."
            )
        self.faces, self.sizes, self.repeats = faces, list(sizes), repeats

    def run(self, run: Run) -> None:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            measures = {}
            for size in self.sizes:
                found = self.times(size, run.device)
                measures |= {f"{name}_{size}": value for name, value in found.items()}
                for line in lines(size, found):
                    run.log.info(line)
        finally:
            torch.set_num_threads(threads)
        run.write_report(measures)

    def times(self, size: int, device: str) -> dict[str, float]:
        """Median milliseconds at one size; without Open3D's on a GPU."""
        mesh = torus(self.faces)
        camera = Cameras.orbit(20.0, 25.0, 1.8, 40.0, height=size, width=size)
        forward, backward = picture(mesh.to(device), camera.to(device), device)
        work = {"forward_ms": forward, "forward_backward_ms": backward}
        if device == "cpu":
            work["open3d_ms"] = open3d_cast(mesh, camera)
        measured = {name: [] for name in work}
        for turn in range(self.repeats + 1):
            for name, function in work.items():
                seconds = timed(function, device)
                if turn:  # the first compiles kernels and fills caches
                    measured[name].append(1000 * seconds)
        found = {name: median(values) for name, values in measured.items()} | {"faces": len(mesh.faces)}
        if "open3d_ms" in found:
            found["ratio"] = found["forward_backward_ms"] / found["open3d_ms"]
        return found


def torus(faces: int) -> Mesh:
    """A torus of about so many faces: it hides parts of itself, and its triangles are of all shapes."""
    import trimesh

    around = max(8, round((faces / 4) ** 0.5))
    ring = trimesh.creation.torus(0.35, 0.15, major_sections=2 * around, minor_sections=around)
    return Mesh.from_trimesh(ring)


def picture(mesh: Mesh, camera: Cameras, device: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """A function that draws an antialiased picture of four channels, and one that also differentiates it."""
    random = generator(0, 0, "bench rasterizer")
    vertices = mesh.vertices.clone().requires_grad_()
    colors = torch.rand(len(vertices), 3, generator=random).to(device).requires_grad_()
    target = torch.rand(1, camera.height, camera.width, 4, generator=random).to(device)

    def forward() -> torch.Tensor:
        clip = clip_positions(vertices, camera)
        fragments = rasterize(clip, mesh.faces, camera.height, camera.width)
        attributes = torch.cat([colors, torch.ones_like(colors[:, :1])], dim=1)
        return antialias(interpolate(attributes, fragments, mesh.faces), fragments, clip, mesh.faces)

    def backward() -> None:
        torch.autograd.grad((forward() - target).square().mean(), [vertices, colors])

    return forward, backward


def open3d_cast(mesh: Mesh, camera: Cameras) -> Callable[[], object]:
    """A function that builds Open3D's scene and casts the camera's rays, in one thread."""
    import open3d as o3d

    rays = camera.rays()
    packed = torch.cat([rays.origins, rays.directions], dim=-1)[0].numpy()
    vertices, faces = mesh.vertices.numpy(), mesh.faces.numpy().astype(np.uint32)

    def cast() -> object:
        scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        scene.add_triangles(vertices, faces)
        return scene.cast_rays(packed, nthreads=1)

    return cast


def timed(function: Callable[[], object], device: str) -> float:
    """Seconds: of the process on a CPU, of the clock on a GPU, whose work is asynchronous."""
    if device == "cpu":
        begun = time.process_time()
        function()
        return time.process_time() - begun
    torch.cuda.synchronize()
    begun = time.perf_counter()
    function()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def lines(size: int, found: dict[str, float]) -> list[str]:
    """The table of one size, and the bar where it holds."""
    text = [
        f"{size} px, {found['faces']:.0f} faces: forward {found['forward_ms']:.1f} ms, "
        f"forward and backward {found['forward_backward_ms']:.1f} ms"
    ]
    if "ratio" in found:
        text.append(f"{size} px: Open3D builds and casts in {found['open3d_ms']:.1f} ms")
        verdict = "pass" if found["ratio"] <= RATIO_BAR else "FAIL"
        held_to = f" (bar {RATIO_BAR:g}): {verdict}" if size == BAR_SIZE else ""
        text.append(f"{size} px: forward and backward / Open3D {found['ratio']:.2f}{held_to}")
    return text
