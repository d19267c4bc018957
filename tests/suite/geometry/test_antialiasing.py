"""Silhouettes: gradients against finite differences of supersampled pictures, coverage against closed forms."""

import math

import numpy as np
import pytest
import torch
import trimesh

from suite.geometry import antialiasing_torch
from suite.geometry.antialiasing import antialias, silhouette_steps
from suite.geometry.cameras import Cameras
from suite.geometry.edges import Edges, welded
from suite.geometry.mesh import Mesh
from suite.geometry.rasterizer import clip_positions, interpolate, pixel_coordinates, rasterize, render_mesh
from suite.geometry.silhouettes import _covered, silhouettes

SIZE, FINE = 64, 16
VIEW = Cameras.orbit([20.0], [25.0], 2.1, 40.0, height=SIZE, width=SIZE)
ROWS, COLUMNS = torch.meshgrid(*[torch.arange(SIZE).double() / SIZE] * 2, indexing="ij")
WEIGHTS = COLUMNS + 0.7 * ROWS + 0.5 * ROWS**2  # of the loss: no motion below is without effect on it


def ball(subdivisions, radius=1.0, center=(0, 0, 0)):
    made = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return made.apply_translation(center)


def box(subdivisions):
    made = trimesh.creation.box((0.7, 1.0, 0.8))
    for _ in range(subdivisions):
        made = made.subdivide()
    return made


def torus(major, minor):
    return trimesh.creation.torus(0.4, 0.15, major_sections=major, minor_sections=minor)


def two_parts(subdivisions):
    return trimesh.util.concatenate(
        [ball(subdivisions, 0.4), ball(subdivisions, 0.3, (0.3, 0.2, 0.2)), torus(30, 16)]
    )


def cup(subdivisions):
    """A ball cut open, its border a saw: the inside is seen through the opening."""
    made = ball(subdivisions)
    made.update_faces(made.triangles_center[:, 2] < 0.3)
    made.remove_unreferenced_vertices()
    return made


MESHES = {  # name -> mesh of 80 to 20,480 faces
    "ball 80": lambda: ball(1),
    "ball 1280": lambda: ball(3),
    "ball 20480": lambda: ball(5),
    "box 192": lambda: box(2),
    "box 12288": lambda: box(5),
    "torus 192": lambda: torus(12, 8),
    "torus 19600": lambda: torus(140, 70),
    "two parts 1600": lambda: two_parts(2),
    "two parts 11200": lambda: two_parts(4),
    "cup 200": lambda: cup(2),
    "cup 3300": lambda: cup(4),
}


def shape(name):
    mesh = Mesh.from_trimesh(MESHES[name]()).normalized()
    return mesh.vertices.double(), mesh.faces


def coverage(vertices, faces, camera=VIEW, fine=FINE):
    """The mean of fine x fine samples in each pixel."""
    h, w = camera.height, camera.width
    many = camera.resized(h * fine, w * fine)
    hit = rasterize(clip_positions(vertices, many), faces, h * fine, w * fine).face_id >= 0
    return hit.double().reshape(-1, h, fine, w, fine).mean((2, 4))


def smooth(vertices, faces, camera=VIEW):
    clip = clip_positions(vertices, camera)
    fragments = rasterize(clip, faces, camera.height, camera.width)
    mask = (fragments.face_id >= 0).double()[..., None]
    return antialias(mask, fragments, clip, faces)[..., 0]


@pytest.mark.parametrize("name", MESHES)
def test_gradients_of_a_silhouette_are_finite_differences(name):
    """d(weighted mask) / d(shift right, shift up, scale) is that of pictures of 256 samples a pixel."""
    vertices, faces = shape(name)
    right, up = torch.tensor([[-0.34, 0.94, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    moves = [right.expand_as(vertices), up.expand_as(vertices), vertices]
    change = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    moved = vertices + sum(c * move for c, move in zip(change, moves, strict=True))
    (smooth(moved, faces) * WEIGHTS).sum().backward()
    step = 0.01  # half a pixel
    for gradient, move in zip(change.grad, moves, strict=True):
        pair = [coverage(vertices + sign * step * move, faces) for sign in (1, -1)]
        numeric = ((pair[0] - pair[1]) * WEIGHTS).sum() / (2 * step)
        assert abs(gradient - numeric) <= 0.1 * abs(numeric)


@pytest.mark.parametrize("name", [name for name in MESHES if name not in ("ball 1280", "box 12288")])
def test_each_vertex_moves_the_area_it_covers(name):
    """d(covered area) / d(vertex), along itself, is that of a picture of the vertex's faces magnified.

    Steps are of two thousandths of a pixel where triangles are small: a longer one changes which vertex is
    outermost.
    """
    vertices, faces = shape(name)
    points = vertices.clone().requires_grad_()
    smooth(points, faces).sum().backward()
    strength = points.grad.norm(dim=1)
    strong = (strength > strength[strength > 0].median()).nonzero()[:, 0]
    xy = VIEW.project(vertices.float())[0][0].double()
    errors, total = [], 0.0
    for vertex in strong[:: max(1, len(strong) // 5)][:5].tolist():
        ring = faces[(faces == vertex).any(1)].reshape(-1)
        reach = float((xy[ring] - xy[vertex]).abs().max()) + 0.5
        direction = points.grad[vertex] / strength[vertex]
        fine = 1024 / (2 * reach)  # samples a pixel, along each side
        step = 4 / fine / 40.0  # world: 4 samples
        areas = []
        for sign in (1, -1):
            moved = vertices.clone()
            moved[vertex] += sign * step * direction
            clip = clip_positions(moved, VIEW)
            x, y = (2 * xy[vertex] / SIZE - 1).tolist()
            clip[..., 0] = (clip[..., 0] - x * clip[..., 3]) * (SIZE / 2 / reach)
            clip[..., 1] = (clip[..., 1] + y * clip[..., 3]) * (SIZE / 2 / reach)
            seen = rasterize(clip, faces, 1024, 1024).face_id >= 0
            areas.append(seen.sum() / fine**2)
        numeric = float(areas[0] - areas[1]) / (2 * step)
        errors.append((float(strength[vertex]) - numeric) ** 2)
        total += numeric**2
    assert math.sqrt(sum(errors) / total) <= 0.2


@pytest.mark.parametrize("name", ["ball 1280", "box 192", "torus 19600", "two parts 1600", "cup 3300"])
def test_pictures_come_near_to_supersampled_ones(name):
    """A seventh of the error that sampling at pixel centres makes, and nothing outside [0, 1]."""
    vertices, faces = shape(name)
    truth, mine = coverage(vertices, faces), smooth(vertices, faces)
    hard = coverage(vertices, faces, fine=1)
    assert (mine - truth).abs().mean() <= 0.15 * (hard - truth).abs().mean()
    assert mine.min() >= -0.05 and mine.max() <= 1.05


def half_plane_area(normal, offset):
    """Of a unit pixel about the origin, the part where normal . x < offset: clipping a polygon."""
    corners, kept = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)], []
    for (x, y), (p, q) in zip(corners, corners[1:] + corners[:1]):
        here, there = (normal[0] * a + normal[1] * b - offset for a, b in ((x, y), (p, q)))
        if here < 0:
            kept.append((x, y))
        if (here < 0) != (there < 0):
            t = here / (here - there)
            kept.append((x + t * (p - x), y + t * (q - y)))
    return 0.5 * sum(x * q - y * p for (x, y), (p, q) in zip(kept, kept[1:] + kept[:1]))


@pytest.mark.parametrize("degrees", [0.0, 17.0, 45.0, 80.0, 133.0, 215.0, 290.0])
def test_a_straight_silhouette_covers_exactly_its_part_of_each_pixel(degrees):
    """A half plane seen at any angle: the mask is the area of each pixel on its side of the line."""
    cos, sin, shift = math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), 0.03
    far = torch.tensor([[shift, -9.0], [shift, 9.0], [-9.0, 0.0]])
    x, y = far @ torch.tensor([[cos, sin], [-sin, cos]]).unbind(1)[0], far @ torch.tensor([sin, cos])
    clip = torch.stack([x, y, torch.zeros(3), torch.ones(3)], dim=1)[None].double()
    faces, n = torch.tensor([[0, 1, 2]]), 16
    fragments = rasterize(clip, faces, n, n)
    mask = antialias((fragments.face_id >= 0).double()[..., None], fragments, clip, faces)[0, ..., 0]
    for row in range(1, n - 1):
        for column in range(1, n - 1):
            center = (column + 0.5 - n / 2, n / 2 - row - 0.5)
            offset = shift * n / 2 - center[0] * cos - center[1] * sin
            assert abs(mask[row, column] - half_plane_area((cos, sin), offset)) < 1e-5


def painted(shift, camera):
    """A red ball before a blue box; the ball alone is shifted."""
    front, back = Mesh.from_trimesh(ball(3, 0.25, (0.4, 0.0, 0.1))), Mesh.from_trimesh(box(0))
    count = len(front.vertices)
    vertices = torch.cat([front.vertices.double() + shift, 0.7 * back.vertices.double()])
    faces = torch.cat([front.faces, back.faces + count])
    colors = torch.tensor([[1.0, 0.2, 0.0]] * count + [[0.0, 0.1, 0.8]] * len(back.vertices)).double()
    clip = clip_positions(vertices, camera)
    fragments = rasterize(clip, faces, camera.height, camera.width)
    return interpolate(colors, fragments, faces), fragments, clip, faces


def test_silhouettes_inside_the_mask_have_gradients():
    """A part moving before another: the loss sees colours only, the mask stays."""
    shift = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    weights = torch.stack([WEIGHTS, -ROWS, COLUMNS * ROWS], dim=-1)
    (antialias(*painted(shift, VIEW)) * weights).sum().backward()
    many = VIEW.resized(SIZE * FINE, SIZE * FINE)
    for axis in (1, 2):
        step = torch.zeros(3, dtype=torch.float64)
        step[axis] = 0.01
        pair = [painted(sign * step, many)[0] for sign in (1, -1)]
        pair = [x.reshape(SIZE, FINE, SIZE, FINE, 3).mean((1, 3)) for x in pair]
        numeric = ((pair[0] - pair[1]) * weights).sum() / 0.02
        assert abs(shift.grad[axis] - numeric) <= 0.1 * abs(numeric)


def test_what_is_hidden_has_no_gradient():
    """A ball inside a ball."""
    outer, inner = Mesh.from_trimesh(ball(2, 0.5)), Mesh.from_trimesh(ball(2, 0.3))
    points = torch.cat([outer.vertices, inner.vertices]).requires_grad_()
    smooth(points, torch.cat([outer.faces, inner.faces + len(outer.vertices)])).sum().backward()
    assert points.grad[len(outer.vertices) :].abs().max() == 0
    assert points.grad[: len(outer.vertices)].abs().max() > 0


def test_descent_finds_a_ball():
    """From 5 pixels off and a third too small, 60 steps of Adam on the mask end within 0.05 pixels."""
    vertices, faces = shape("ball 1280")
    target = coverage(0.8 * vertices, faces)
    axes = VIEW.world_from_camera[0, :3, :2].double()  # right and up
    shift = torch.tensor([0.15, -0.1], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(0.55, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([shift, scale], lr=0.02)
    for step in range(60):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / 60)
        optimizer.zero_grad()
        (smooth(scale * vertices + axes @ shift, faces) - target).square().sum().backward()
        optimizer.step()
    assert shift.abs().max() < 0.001 and abs(scale - 0.8) < 0.005


def test_images_have_exact_gradients():
    """Antialiasing is linear in the images: gradcheck in float64."""
    vertices, faces = shape("torus 192")
    view = VIEW.resized(10, 10)
    clip = clip_positions(vertices, view)
    fragments = rasterize(clip, faces, 10, 10)
    images = torch.rand(1, 10, 10, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(
        lambda x: antialias(x, fragments, clip, faces), images.requires_grad_(), fast_mode=True
    )


def test_a_batch_is_its_views():
    """Views drawn together equal views drawn alone, gradients too."""
    vertices, faces = shape("two parts 1600")
    views = Cameras.orbit([20.0, 140.0, -60.0], [25.0, -30.0, 5.0], 1.8, 40.0, height=40, width=52)
    points = vertices.clone().requires_grad_()
    together = smooth(points, faces, views)
    alone = torch.cat([smooth(points, faces, views[k]) for k in range(3)])
    torch.testing.assert_close(together, alone)
    gradients = [torch.autograd.grad((x * x).sum(), points)[0] for x in (together, alone)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("name", ["two parts 1600", "cup 200", "box 192"])
def test_the_torch_twin_finds_the_same(name):
    """Edges, sides and what is hidden: torch as numba."""
    vertices, faces = shape(name)
    pixels, planes = pixel_coordinates(clip_positions(vertices, VIEW), SIZE, SIZE)
    edges, twin = Edges.of(faces), Edges(*antialiasing_torch.edge_table(faces))
    assert len(edges.ends) == len(twin.ends)
    assert torch.equal(edges.ends[edges.of_face], twin.ends[twin.of_face])
    left, right = antialiasing_torch.sides(pixels[0], faces, twin.of_face, len(twin.ends))
    _, found, side = silhouettes(pixels, faces, edges)
    expected = ((left > 0) != (right > 0)).nonzero()[:, 0]
    same = {tuple(ends): int(sign) for ends, sign in zip(edges.ends[found].tolist(), side)}
    assert same == {tuple(twin.ends[e].tolist()): 1 if left[e] else -1 for e in expected}
    ends = pixels[0][edges.ends[found]]
    points = torch.cat([ends[..., :2] / ends[..., 2:], 1 / ends[..., 2:]], dim=-1)
    given = (pixels[0], planes[0], faces, edges.of_face, points.mean(1), found, SIZE, SIZE)
    for budget in (2**22, 300):
        (hidden, backed), (also, twice) = _covered(*given), antialiasing_torch.covered(*given, budget=budget)
        assert torch.equal(hidden, also) and torch.equal(backed & ~hidden, twice & ~hidden)
        assert (hidden.any() and backed.any()) or name == "box 192"


def test_seams_are_no_silhouettes():
    """A sheet of two halves that share places, not vertices: welded, only its border is left; both copies of
    a vertex get half the gradient."""
    corners = torch.tensor([[0.1, -0.5, -0.5], [0.1, 0, -0.5], [0.1, 0, 0.5], [0.1, -0.5, 0.5]])
    other = torch.tensor([[0.1, 0, -0.5], [0.1, 0.5, -0.5], [0.1, 0.5, 0.5], [0.1, 0, 0.5]])
    vertices = torch.cat([corners, other]).double().requires_grad_()
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    clip = clip_positions(vertices, VIEW)
    joined, triangles = welded(vertices, clip, faces)
    assert joined.shape == (1, 6, 4) and len(Edges.of(faces).ends) == 10
    pixels, _ = pixel_coordinates(joined.detach(), SIZE, SIZE)
    assert len(silhouettes(pixels, triangles, Edges.of(triangles))[1]) == 6
    place, count = antialiasing_torch.same_places(vertices.detach())
    assert count == 6 and place[1] == place[4] and place[2] == place[7]
    fragments = rasterize(clip, faces, SIZE, SIZE)
    mask = (fragments.face_id >= 0).double()[..., None]
    antialias(mask, fragments, joined, triangles).sum().backward()
    torch.testing.assert_close(vertices.grad[1], vertices.grad[4])
    assert vertices.grad[1].abs().max() > 1
    whole = torch.tensor([[0, 1, 2]])
    assert welded(vertices[:3], clip[:, :3], whole)[1] is whole


def test_edges_of_a_cube_by_hand():
    """18 edges, 12 of the cube and 6 diagonals; seen along a diagonal of space 6 are the outline."""
    cube = Mesh.from_trimesh(trimesh.creation.box())
    edges = Edges.of(cube.faces)
    assert len(edges.ends) == 18 and torch.equal(edges.of_face.unique(), torch.arange(18))
    assert (torch.bincount(edges.of_face.reshape(-1)) == 2).all()
    view = Cameras.orbit(40.0, 35.0, 4.0, 40.0, height=8, width=8)
    pixels, _ = pixel_coordinates(clip_positions(cube.vertices, view), 8, 8)
    assert len(silhouettes(pixels, cube.faces, edges)[1]) == 6


def test_a_wall_that_passes_the_camera():
    """An edge that goes on behind the camera is cut at the near plane; its gradient is that of the horizon."""
    height = torch.tensor(-0.4, dtype=torch.float64, requires_grad=True)
    wall = torch.tensor([[9.0, 0.5, 0], [-9.0, 0.5, 0], [0.0, 0.5, -40]], dtype=torch.float64)
    camera = Cameras.orbit(0.0, 0.0, 1.0, 90.0, height=32, width=32)
    faces = torch.tensor([[0, 1, 2]])
    rise = torch.tensor([0.0, 0, 1], dtype=torch.float64)
    mask = smooth(wall + height * rise, faces, camera)
    assert 50 < mask.sum() < 600
    (gradient,) = torch.autograd.grad(mask.sum(), height)
    pair = [coverage(wall + h * rise, faces, camera) for h in (-0.39, -0.41)]
    numeric = (pair[0] - pair[1]).sum() / 0.02
    assert abs(gradient - numeric) < 0.05 * abs(numeric)


def test_nothing_to_smooth():
    """No faces, faces of no area, and a mesh behind the camera leave the images as they are."""
    images = torch.rand(1, 8, 8, 3)
    view = VIEW.resized(8, 8)
    sheet = torch.tensor([[9.0, 0, 0], [9.0, 1, 0], [9.0, 0, 1]])
    for vertices, faces in (
        (torch.zeros(3, 3), torch.zeros(0, 3, dtype=torch.int64)),
        (torch.zeros(3, 3), torch.tensor([[0, 1, 2]])),
        (sheet, torch.tensor([[0, 1, 2]])),
    ):
        clip = clip_positions(vertices, view)
        fragments = rasterize(clip, faces, 8, 8)
        assert torch.equal(antialias(images, fragments, clip, faces), images)


def test_pieces_lie_in_their_pixels_and_add_up():
    """The pieces of an edge in the picture join to the edge: the sum of their normals is its own."""
    clip = torch.tensor([[[-0.71, -0.53, 0, 1], [0.63, 0.37, 0, 1], [-0.9, 0.8, 0, 1]]], dtype=torch.float64)
    faces, n = torch.tensor([[0, 1, 2]]), 12
    pixels, planes = pixel_coordinates(clip, n, n)
    nearness = torch.where(rasterize(clip, faces, n, n).face_id < 0, 0.0, 1.0)
    steps = silhouette_steps(pixels, planes, faces, Edges.of(faces), nearness)
    mine = (steps.ends == torch.tensor([0, 1])).all(1)
    edge = pixels[0, 1, :2] - pixels[0, 0, :2]
    length = np.hypot(*edge.tolist())
    assert float(steps.normal[mine].norm(dim=1).sum()) == pytest.approx(length, rel=0.05)
    middle = torch.lerp(pixels[0, 0, :2], pixels[0, 1, :2], steps.at[mine, None]).long()
    assert torch.equal(middle[:, 1] * n + middle[:, 0], steps.target[mine])


def test_render_mesh_moves_silhouettes_only_when_asked():
    """With antialias the mask's gradient reaches the vertices, finite everywhere; without it is 0."""
    mesh = Mesh.from_trimesh(cup(2)).normalized()
    points = mesh.vertices.clone().requires_grad_()
    moving = Mesh(points, mesh.faces, vertex_colors=torch.rand(len(points), 3))
    with_edges = render_mesh(moving, VIEW, antialias=True, supersample=1)
    loss = with_edges.images.square().mean() + with_edges.masks.mean() + with_edges.normals.mean()
    (loss + with_edges.depth.mean()).backward()
    assert points.grad.isfinite().all() and points.grad.abs().max() > 0
    (still,) = torch.autograd.grad(render_mesh(moving, VIEW).masks.sum(), points)
    assert still.abs().max() == 0
    fine = render_mesh(moving, VIEW, supersample=8)
    for name, limit in (("images", 0.002), ("masks", 0.002)):
        assert (getattr(with_edges, name) - getattr(fine, name)).abs().mean() < limit


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_has_the_same_gradients():
    """The torch path on a GPU gives the numba path's picture and gradients."""
    vertices, faces = shape("two parts 1600")
    found = []
    for device in ("cpu", "cuda"):
        points = vertices.to(device).requires_grad_()
        image = smooth(points, faces.to(device), VIEW.to(device))
        (image * WEIGHTS.to(device)).sum().backward()
        found.append((image.detach().cpu(), points.grad.cpu()))
    assert (found[0][0] - found[1][0]).abs().mean() < 1e-4
    assert (found[0][1] - found[1][1]).norm() < 0.01 * found[0][1].norm()
