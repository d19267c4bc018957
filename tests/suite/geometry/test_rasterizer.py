import math

import numpy as np
import pytest
import torch
import trimesh

from suite.geometry import rasterizer_torch
from suite.geometry.cameras import Cameras, orbit_path
from suite.geometry.mesh import Mesh
from suite.geometry.rasterizer import (
    clip_positions,
    interpolate,
    pixel_coordinates,
    rasterize,
    render_mesh,
    screen_derivatives,
)
from suite.geometry.rasterizer_torch import visible_faces
from suite.geometry.textures import mip_map, sample

# no view along an axis of symmetry: pixel centres would lie exactly on edges, where either face is right
VIEWS = Cameras.orbit([20.0, 140.0, -75.0, 3.0], [10.0, -40.0, 85.0, 88.0], 1.8, 40.0, height=48, width=64)


def shape(name: str) -> Mesh:
    shapes = {
        "sphere": lambda: trimesh.creation.icosphere(subdivisions=3),
        "torus": lambda: trimesh.creation.torus(0.4, 0.15),
        "fine torus": lambda: trimesh.creation.torus(0.4, 0.15, major_sections=140, minor_sections=70),
        "cylinder": lambda: trimesh.creation.cylinder(0.3, 1.0),
        "boxes": lambda: trimesh.util.concatenate(
            [trimesh.creation.box((0.3, 0.5, 0.7)), trimesh.creation.box((0.8, 0.2, 0.2))]
        ),
    }
    return Mesh.from_trimesh(shapes[name]()).normalized()


def unit_sphere_view(distance: float, fov_deg: float, size: int) -> tuple[Mesh, Cameras]:
    mesh = Mesh.from_trimesh(trimesh.creation.icosphere(subdivisions=5))
    return mesh, Cameras.orbit(30.0, 20.0, distance, fov_deg, height=size, width=size)


@pytest.mark.parametrize("name", ["sphere", "torus", "cylinder", "boxes", "fine torus"])
def test_visibility_is_that_of_embree(name, open3d):
    """At least 99.95 % of pixels see the face that Open3D's ray casting hits, at its distance.

    No pixel is left out: ties on shared edges need a pixel centre on an edge, which these views have not.
    """
    mesh = shape(name)
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(mesh.vertices.numpy(), mesh.faces.numpy().astype(np.uint32))
    views = VIEWS.resized(96, 128)
    rays = views.rays()
    hit = scene.cast_rays(torch.cat([rays.origins, rays.directions], dim=-1).numpy())
    truth = torch.from_numpy(hit["primitive_ids"].numpy().astype(np.int64))
    truth[truth == scene.INVALID_ID] = -1
    fragments = rasterize(clip_positions(mesh.vertices, views), mesh.faces, 96, 128)
    assert (fragments.face_id == truth).float().mean() >= 0.9995
    both = (fragments.face_id >= 0) & (truth >= 0)
    forward = -views.world_from_camera[:, None, None, :3, 2]
    along_axis = torch.from_numpy(hit["t_hit"].numpy())[..., None] * (rays.directions * forward).sum(
        -1, keepdim=True
    )
    torch.testing.assert_close(fragments.depth[both], along_axis[..., 0][both], atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", ["torus", "boxes"])
def test_the_torch_twin_sees_the_same_faces(name):
    """The torch z-buffer, in one chunk or in many, gives the numba kernel's faces."""
    mesh = shape(name)
    clip = clip_positions(mesh.vertices, VIEWS)
    pixels, planes = pixel_coordinates(clip, 48, 64)
    expected = rasterize(clip, mesh.faces, 48, 64).face_id
    for budget in (2**22, 500):
        for k in range(len(VIEWS)):
            seen = visible_faces(pixels[k], planes[k], mesh.faces, 48, 64, budget=budget)
            assert (seen != expected[k]).sum() <= 2


def test_threads_change_nothing():
    """Views drawn in parallel equal views drawn one after the other."""
    mesh = shape("torus")
    clip = clip_positions(mesh.vertices, VIEWS)
    one, two = (rasterize(clip, mesh.faces, 48, 64, threads=k) for k in (1, 2))
    assert torch.equal(one.face_id, two.face_id) and torch.equal(one.depth, two.depth)


def test_barycentrics_are_perspective_correct():
    """Interpolated world positions lie on the ray of their pixel."""
    mesh = Mesh(
        torch.tensor([[0.9, -1.0, -1.0], [-3.0, 2.0, -1.0], [0.0, 0.0, 1.0]]), torch.tensor([[0, 1, 2]])
    )
    cameras = Cameras.orbit(0.0, 0.0, 2.0, 60.0, height=33, width=47)
    fragments = rasterize(clip_positions(mesh.vertices, cameras), mesh.faces, 33, 47)
    seen = fragments.face_id >= 0
    assert seen.sum() > 100
    points = interpolate(mesh.vertices, fragments, mesh.faces)[seen]
    rays = cameras.rays()
    to_point = points - rays.origins[seen]
    off = torch.linalg.cross(to_point, rays.directions[seen])
    torch.testing.assert_close(off, torch.zeros_like(off), atol=1e-5, rtol=0)
    torch.testing.assert_close(fragments.barycentrics[seen].sum(-1), torch.ones(int(seen.sum())))


def test_depth_of_a_plane_is_closed_form():
    """A plane through the origin facing the camera has depth = distance everywhere."""
    plane = Mesh(
        torch.tensor([[0.0, -9, -9], [0, 9, -9], [0, 9, 9], [0, -9, 9]]), torch.tensor([[0, 1, 2], [0, 2, 3]])
    )
    rendering = render_mesh(plane, Cameras.orbit(0.0, 0.0, 1.8, 40.0))
    torch.testing.assert_close(rendering.depth, torch.full((1, 1, 64, 64), 1.8))
    assert torch.equal(rendering.masks, torch.ones(1, 1, 64, 64))  # no gap along the diagonal
    torch.testing.assert_close(rendering.normals[0, :, 5, 9], torch.tensor([1.0, 0, 0]))


def test_depth_of_a_sphere_is_closed_form():
    """t = d cos - sqrt(1 - d^2 sin^2) along the ray; the depth is t times the cosine to the axis."""
    mesh, camera = unit_sphere_view(3.0, 45.0, 65)
    fragments = rasterize(clip_positions(mesh.vertices, camera), mesh.faces, 65, 65)
    rays, seen = camera.rays(), fragments.face_id >= 0
    cosine = -(rays.directions * camera.position / 3.0).sum(-1)
    inside = 1 - 9 * (1 - cosine**2)
    t = 3 * cosine - inside.clamp_min(0).sqrt()
    middle = seen & (inside > 0.05)
    torch.testing.assert_close(fragments.depth[middle], (t * cosine)[middle], atol=3e-3, rtol=0)


def test_area_of_a_sphere_is_closed_form():
    """Seen from its axis, a unit sphere covers a disc of radius focal / sqrt(d^2 - 1) pixels."""
    mesh, camera = unit_sphere_view(3.0, 45.0, 64)
    radius = float(camera.focal_px) / math.sqrt(8)
    area = render_mesh(mesh, camera, supersample=4).masks.sum()
    assert abs(float(area) / (math.pi * radius**2) - 1) < 0.002


def test_a_triangle_that_passes_behind_the_camera_is_cut_at_the_near_plane():
    """A floor reaching behind the camera covers exactly the pixels whose rays go down, up to the horizon."""
    floor = Mesh(torch.tensor([[50.0, 0, -1], [-50, 60, -1], [-50, -60, -1]]), torch.tensor([[0, 1, 2]]))
    camera = Cameras.orbit(0.0, 0.0, 1.0, 60.0, height=32, width=32)
    fragments = rasterize(clip_positions(floor.vertices, camera), floor.faces, 32, 32)
    rays = camera.rays()
    t = -1 / rays.directions[..., 2]
    x, y = (rays.at(t.nan_to_num(0, 0, 0))[..., k] for k in (0, 1))
    inside = (t > 0) & (x > -50) & (y.abs() < 0.6 * (50 - x))
    depth = -(rays.directions @ camera.world_from_camera[0, :3, 2]) * t
    assert torch.equal(fragments.face_id[0] >= 0, (inside & (depth < 100))[0])
    seen = fragments.face_id >= 0
    torch.testing.assert_close(fragments.depth[seen], depth[seen], rtol=1e-4, atol=0)
    pixels, planes = pixel_coordinates(clip_positions(floor.vertices, camera), 32, 32)
    assert torch.equal(visible_faces(pixels[0], planes[0], floor.faces, 32, 32), fragments.face_id[0])


def test_what_is_behind_the_camera_is_not_seen():
    """A mesh wholly behind the camera leaves the background."""
    behind = shape("boxes").transformed(
        torch.tensor([[1.0, 0, 0, 9], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    )
    rendering = render_mesh(behind, Cameras.orbit(0.0, 0.0, 2.0, 40.0), background=(0.0, 0.5, 1.0))
    assert rendering.masks.sum() == 0 and rendering.depth.sum() == 0
    torch.testing.assert_close(rendering.images[0, :, 0, 0], torch.tensor([0.0, 0.5, 1.0]))


def test_nothing_to_draw():
    """A mesh without faces, or with faces of no area, renders as background."""
    empty = Mesh(torch.zeros(3, 3), torch.zeros(0, 3, dtype=torch.int64))
    flat = Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 2]]))
    for mesh in (empty, flat):
        assert torch.equal(render_mesh(mesh, VIEWS[0]).images, torch.ones(1, 3, 48, 64))


def test_barycentrics_and_depth_have_gradients():
    """d(depth) and d(interpolated attribute) / d(vertex) equal finite differences where no edge moves."""
    corners = torch.tensor([[0.1, -0.9, -0.8], [-0.4, 0.8, -0.7], [0.3, 0.1, 0.9]], dtype=torch.float64)
    faces, camera = torch.tensor([[0, 1, 2]]), Cameras.orbit(0.0, 0.0, 2.0, 60.0, height=8, width=8)
    camera = Cameras(camera.world_from_camera.double(), camera.fov_deg.double(), 8, 8)
    color = torch.tensor([[0.1], [0.5], [0.9]])

    def value(vertices):
        fragments = rasterize(clip_positions(vertices, camera), faces, 8, 8)
        inner = (fragments.barycentrics.detach() > 0.1).all(-1)
        return (fragments.depth + 3 * interpolate(color, fragments, faces)[..., 0])[inner].double().sum()

    points = corners.clone().requires_grad_()
    value(points).backward()
    step, numeric = 1e-3, torch.zeros(3, 3, dtype=torch.float64)
    for k in range(9):
        move = torch.zeros(9, dtype=torch.float64)
        move[k] = step
        move = move.reshape(3, 3)
        numeric.view(-1)[k] = (value(corners + move) - value(corners - move)) / (2 * step)
    torch.testing.assert_close(points.grad, numeric, rtol=0.01, atol=0.02)


def tiny(name, views=2):
    """A float64 mesh and its views, 6 x 7 pixels."""
    mesh = Mesh.from_trimesh(
        trimesh.creation.icosphere(subdivisions=0) if name == "ball" else trimesh.creation.box()
    )
    cameras = Cameras.orbit([20.0, -100.0][:views], [10.0, 35.0][:views], 2.6, 40.0, height=6, width=7)
    return mesh.vertices.double(), mesh.faces, clip_positions(mesh.vertices.double(), cameras)


@pytest.mark.parametrize("name", ["ball", "box"])
def test_interior_gradients_are_exact(name):
    """gradcheck in float64: barycentrics, depth and interpolated attributes, in positions and attributes.

    A step of 1e-6 changes no pixel's face.
    """
    vertices, faces, clip = tiny(name)
    colors = torch.rand(len(vertices), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def seen(positions, attributes):
        fragments = rasterize(positions, faces, 6, 7)
        return fragments.depth, fragments.barycentrics, interpolate(attributes, fragments, faces)

    assert torch.autograd.gradcheck(seen, (clip.requires_grad_(), colors.requires_grad_()), fast_mode=True)
    each = colors.detach().expand(2, -1, -1).clone().requires_grad_()  # a set of attributes a view
    assert torch.autograd.gradcheck(seen, (clip, each), fast_mode=True)


@pytest.mark.parametrize("name", ["ball", "box"])
def test_kernels_have_the_twin_s_values_and_gradients(name):
    """numba against torch: barycentrics, depth, interpolation and what they send back."""
    vertices, faces, clip = tiny(name)
    colors = torch.rand(2, len(vertices), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    given = [clip.requires_grad_(), colors.requires_grad_()]
    fragments = rasterize(clip, faces, 6, 7)
    pixels, _ = pixel_coordinates(clip, 6, 7)
    weights, depth = rasterizer_torch.barycentrics(pixels, faces, fragments.face_id)
    mine = (fragments.depth, fragments.barycentrics, interpolate(colors, fragments, faces))
    twin = (depth, weights, rasterizer_torch.interpolate(colors, faces, fragments.face_id, weights))
    for one, two in zip(mine, twin):
        torch.testing.assert_close(one, two)
    found = [torch.autograd.grad(sum((x**2).sum() for x in values), given) for values in (mine, twin)]
    for one, two in zip(*found):
        torch.testing.assert_close(one, two)


def test_textured_positions_have_exact_gradients():
    """gradcheck of the whole way: positions to barycentrics to uv to the colour of a texture."""
    vertices, faces, clip = tiny("box", views=1)
    random = torch.Generator().manual_seed(2)
    uv = torch.rand(len(vertices), 2, dtype=torch.float64, generator=random)
    texture = torch.rand(3, 4, 4, dtype=torch.float64, generator=random)

    def seen(positions, texels):
        fragments = rasterize(positions, faces, 6, 7)
        return sample(mip_map(texels), interpolate(uv, fragments, faces), fragments.depth)

    assert torch.autograd.gradcheck(seen, (clip.requires_grad_(), texture.requires_grad_()), fast_mode=True)


def test_screen_derivatives_are_differences_between_pixels():
    """d(uv) / d(pixel) is how uv changes when the picture is shifted by a thousandth of a pixel."""
    vertices, faces, clip = tiny("ball")
    uv = torch.rand(len(vertices), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    fragments = rasterize(clip, faces, 6, 7)
    slopes = screen_derivatives(uv, clip, fragments, faces)
    step = 1e-3
    for axis, sign, size in ((0, -1, 7), (1, 1, 6)):
        values = []
        for way in (1, -1):
            moved = clip.clone()
            moved[..., axis] += sign * way * step * 2 / size * clip[..., 3]
            weights, _ = rasterizer_torch.barycentrics(
                pixel_coordinates(moved, 6, 7)[0], faces, fragments.face_id
            )
            values.append(
                rasterizer_torch.interpolate(uv.expand(2, -1, -1), faces, fragments.face_id, weights)
            )
        torch.testing.assert_close(
            slopes[..., axis], (values[0] - values[1]) / (2 * step), rtol=1e-4, atol=1e-6
        )


def test_a_list_has_a_mesh_for_each_camera():
    """Meshes with their own faces, textures and colours, drawn together, are those drawn alone."""
    meshes = [shape("torus"), shape("boxes"), shape("sphere")]
    views = orbit_path(3, height=20, width=24)
    options = dict(
        background=torch.rand(3, 3), light_direction=torch.rand(3, 3), antialias=True, supersample=1
    )
    together = render_mesh(meshes, views, **options)
    for k, mesh in enumerate(meshes):
        mine = {
            name: value[k : k + 1] if isinstance(value, torch.Tensor) else value
            for name, value in options.items()
        }
        alone = render_mesh(mesh, views[k], **mine)
        torch.testing.assert_close(together.images[k], alone.images[0])
        torch.testing.assert_close(together.masks[k], alone.masks[0])


def test_pictures_have_gradients_in_the_colours():
    """Unlit, the sum over all pixels is linear in the vertex colours: d(sum) / d(colours) sums to the mask."""
    mesh = shape("boxes")
    colors = torch.full_like(mesh.vertices, 0.5).requires_grad_()
    rendering = render_mesh(Mesh(mesh.vertices, mesh.faces, vertex_colors=colors), VIEWS, shading="none")
    rendering.images.sum().backward()
    torch.testing.assert_close(colors.grad.sum(0), rendering.masks.sum().expand(3), rtol=1e-4, atol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_draws_what_the_cpu_draws():
    """The same picture on both devices, but for single samples on edges."""
    mesh = shape("torus")
    here, there = render_mesh(mesh, VIEWS), render_mesh(mesh.to("cuda"), VIEWS.to("cuda"))
    assert (here.images - there.images.cpu()).abs().mean() < 1e-4
    assert (here.masks != there.masks.cpu()).float().mean() < 1e-3


def test_rows_run_downwards():
    """What is up in the world is in the first rows; what is to the camera's right in the last columns."""
    small = shape("boxes").normalized(0.1)
    up = small.transformed(torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0.3], [0, 0, 1, 0.2], [0, 0, 0, 1]]))
    row, column = render_mesh(up, Cameras.orbit(0.0, 0.0, 1.8, 40.0)).masks[0, 0].nonzero().float().mean(0)
    assert row < 24 and column > 40  # seen from +X, +Y is to the right


def test_shading_is_lambert():
    """color * (ambient + diffuse n . l) on flat faces; 'none' is the colour itself."""
    box = Mesh.from_trimesh(trimesh.creation.box())
    colored = Mesh(box.vertices, box.faces, vertex_colors=torch.tensor([0.8, 0.4, 0.2]).expand(8, 3))
    camera = Cameras.orbit(0.0, 0.0, 3.0, 30.0)
    options = dict(light_direction=(1.0, 1.0, 0.0), ambient=0.3, diffuse=0.5, smooth=False)
    lit = render_mesh(colored, camera, **options).images[0, :, 32, 32]
    torch.testing.assert_close(lit, torch.tensor([0.8, 0.4, 0.2]) * (0.3 + 0.5 / math.sqrt(2)))
    plain = render_mesh(colored, camera, shading="none").images[0, :, 32, 32]
    torch.testing.assert_close(plain, torch.tensor([0.8, 0.4, 0.2]))


def test_normals_of_a_sphere_are_its_positions_and_back_faces_turn_to_the_camera():
    """Smooth normals of a unit sphere equal the surface points; inside out it looks the same."""
    mesh, camera = unit_sphere_view(3.0, 45.0, 64)
    rendering = render_mesh(mesh, camera)
    middle = rendering.normals[0, :, 32, 32]
    torch.testing.assert_close(middle, (camera.position / 3)[0], atol=0.05, rtol=0)
    turned = render_mesh(Mesh(mesh.vertices, mesh.faces.flip(1)), camera)
    torch.testing.assert_close(rendering.normals, turned.normals, atol=1e-4, rtol=0)


def test_texture_lands_where_uv_says():
    """A square whose upper left quarter of the texture is red shows red in the upper left of the image."""
    texture = torch.zeros(3, 8, 8)
    texture[0, :4, :4] = 1
    square = Mesh(
        torch.tensor([[0.0, -0.5, -0.5], [0, 0.5, -0.5], [0, 0.5, 0.5], [0, -0.5, 0.5]]),
        torch.tensor([[0, 1, 2], [0, 2, 3]]),
        uv=torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]]),
        texture=texture,
    )
    image = render_mesh(square, Cameras.orbit(0.0, 0.0, 1.8, 40.0), shading="none").images[0]
    torch.testing.assert_close(image[:, 24, 24], torch.tensor([1.0, 0, 0]))
    for row, column in ((24, 40), (40, 24), (40, 40)):
        torch.testing.assert_close(image[:, row, column], torch.zeros(3))


def test_supersampling_averages_finer_pictures():
    """supersample=2 is the 2x2 mean of a picture twice the size."""
    mesh, views = shape("torus"), orbit_path(2, height=24, width=20)
    fine = render_mesh(mesh, views.resized(48, 40), supersample=1)
    coarse = render_mesh(mesh, views, supersample=2)
    pooled = torch.nn.functional.avg_pool2d
    torch.testing.assert_close(coarse.images, pooled(fine.images, 2))
    torch.testing.assert_close(coarse.masks, pooled(fine.masks, 2))
    covered = torch.where(coarse.masks > 0, pooled(fine.depth, 2) / coarse.masks.clamp_min(1e-9), 0.0)
    torch.testing.assert_close(coarse.depth, covered)


def test_backgrounds():
    """A colour, a colour a camera and an image give the same where they agree."""
    mesh, views = shape("boxes"), orbit_path(2, height=16, width=12)
    one = render_mesh(mesh, views, background=(0.1, 0.2, 0.3)).images
    color = torch.tensor([0.1, 0.2, 0.3])
    each = render_mesh(mesh, views, background=color.expand(2, 3)).images
    image = render_mesh(mesh, views, background=color[None, :, None, None].expand(2, 3, 16, 12)).images
    torch.testing.assert_close(one, each)
    torch.testing.assert_close(one, image)


def test_errors():
    """Options are checked, and the message says what is possible."""
    mesh = shape("boxes")
    with pytest.raises(ValueError, match="shading 'lambert' or 'none', not 'phong'"):
        render_mesh(mesh, VIEWS, shading="phong")
    with pytest.raises(ValueError, match="one mesh, or one a camera: got 3 for 4 cameras"):
        render_mesh([mesh] * 3, VIEWS)
    with pytest.raises(ValueError, match="supersample >= 1, got 0"):
        render_mesh(mesh, VIEWS, supersample=0)
    with pytest.raises(
        ValueError, match=r"background of 3 numbers, 'b 3', or 'b 3 48 64'; got shape \(4, 3, 5, 5\)"
    ):
        render_mesh(mesh, VIEWS, background=torch.zeros(4, 3, 5, 5))
