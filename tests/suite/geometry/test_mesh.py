import math

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from suite.geometry.mesh import Mesh, sample_texture
from suite.geometry.trimesh_bridge import linear_from_srgb, srgb_from_linear


def box(extents=(1.0, 1.0, 1.0), at=(0.0, 0.0, 0.0)) -> Mesh:
    mesh = trimesh.creation.box(extents)
    mesh.apply_translation(at)
    return Mesh.from_trimesh(mesh)


def sphere(subdivisions: int = 3) -> Mesh:
    return Mesh.from_trimesh(trimesh.creation.icosphere(subdivisions=subdivisions))


def square(**extra) -> Mesh:
    corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    return Mesh(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]), **extra)


UV = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])


def test_measures_of_a_box():
    """Area 2(ab + bc + ca), volume abc, bounds +-half, face normals along the axes."""
    mesh = box((1.0, 2.0, 3.0))
    torch.testing.assert_close(mesh.face_areas().sum(), torch.tensor(22.0))
    assert mesh.volume == pytest.approx(6)
    torch.testing.assert_close(mesh.bounds, torch.tensor([[-0.5, -1, -1.5], [0.5, 1, 1.5]]))
    assert mesh.face_normals().abs().amax(1).eq(1).all()
    assert mesh.triangles().shape == (12, 3, 3)


def test_bounds_ignore_vertices_without_a_face():
    """A stray vertex does not enlarge the box."""
    mesh = square()
    stray = Mesh(torch.cat([mesh.vertices, torch.tensor([[9.0, 9, 9]])]), mesh.faces)
    assert torch.equal(stray.bounds, mesh.bounds)


def test_vertex_normals_of_a_sphere_are_its_points():
    """And stored normals are preferred to computed ones."""
    mesh = sphere()
    torch.testing.assert_close(mesh.vertex_normals(), mesh.vertices, atol=0.02, rtol=0)
    up = torch.tensor([0.0, 0, 1]).expand(4, 3)
    assert torch.equal(square(normals=-up).vertex_normals(), -up)
    torch.testing.assert_close(square().vertex_normals(), up)


def test_watertight():
    """Closed surfaces are; with a face missing or turned around they are not; seams do not matter."""
    mesh = sphere(2)
    assert mesh.is_watertight
    assert not Mesh(mesh.vertices, mesh.faces[1:]).is_watertight
    assert not Mesh(mesh.vertices, torch.cat([mesh.faces[:1].flip(1), mesh.faces[1:]])).is_watertight
    soup = Mesh(mesh.triangles().reshape(-1, 3), torch.arange(3 * len(mesh.faces)).reshape(-1, 3))
    assert soup.is_watertight
    assert not square().is_watertight
    assert not Mesh(torch.zeros(3, 3), torch.zeros(0, 3, dtype=torch.int64)).is_watertight


def test_normalized():
    """The longest side becomes 1 (or what is asked), the centre the origin."""
    mesh = box((1.0, 4.0, 2.0), at=(5.0, 0.0, -1.0)).normalized()
    torch.testing.assert_close(mesh.bounds, torch.tensor([[-0.125, -0.5, -0.25], [0.125, 0.5, 0.25]]))
    assert float(mesh.normalized(3.0).bounds[1, 1]) == pytest.approx(1.5)


def test_transformed_keeps_the_outside_outside():
    """Volume scales with the determinant and stays positive under a mirroring; normals stay normal."""
    mesh = sphere()
    mesh = Mesh(mesh.vertices, mesh.faces, normals=mesh.vertices)
    matrix = torch.diag(torch.tensor([-1.0, 2.0, 0.5, 1.0]))
    moved = mesh.transformed(matrix)
    assert moved.volume == pytest.approx(mesh.volume, rel=1e-5)
    ellipsoid = moved.vertices / torch.tensor([1.0, 4.0, 0.25])
    expected = torch.nn.functional.normalize(ellipsoid, dim=-1)
    torch.testing.assert_close(moved.normals, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(moved.face_normals().norm(dim=-1), torch.ones(len(moved.faces)))


def test_components():
    """Largest first; parts that only share positions are connected; small ones can be dropped."""
    parts = [
        box(),
        sphere(2).transformed(torch.diag(torch.tensor([0.1, 0.1, 0.1, 1.0]))),
        box((4.0, 4.0, 4.0)),
    ]
    shifts = [0.0, 5.0, 10.0]
    moved = [p.transformed(torch.eye(4).index_put((torch.tensor(0), torch.tensor(3)), torch.tensor(s)))
             for p, s in zip(parts, shifts, strict=True)]  # fmt: skip
    mesh = Mesh.cat(moved)
    sizes = [len(part.faces) for part in mesh.components()]
    assert sizes == [12, 12, 320]
    assert mesh.components()[0].volume == pytest.approx(64, rel=1e-4)
    assert mesh.largest_components(1).volume == pytest.approx(64, rel=1e-4)
    assert len(mesh.largest_components(9, min_area_fraction=0.01).components()) == 2
    soup = Mesh(box().triangles().reshape(-1, 3), torch.arange(36).reshape(-1, 3))
    assert len(soup.components()) == 1


def test_cat_keeps_a_shared_texture_and_turns_others_into_colours():
    """Equal texture objects survive; a mixture becomes vertex colours, grey where there are none."""
    texture = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    same = Mesh.cat([square(uv=UV, texture=texture), square(uv=UV, texture=texture)])
    assert same.texture is texture and len(same.vertices) == 8 and same.faces.max() == 7
    mixed = Mesh.cat([square(uv=UV, texture=torch.ones(3, 2, 2)), square()])
    assert mixed.texture is None
    torch.testing.assert_close(mixed.vertex_colors, torch.cat([torch.ones(4, 3), torch.full((4, 3), 0.5)]))
    assert Mesh.cat([square(), square()]).vertex_colors is None


def test_texture_lookup():
    """uv (0, 0) is the lower left; texel centres give texels; halfway is the mean; 1.25 repeats .25."""
    texture = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(3, 2, 2)
    uv = torch.tensor([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.5, 0.5], [1.25, -0.25]])
    assert sample_texture(texture, uv)[:, 0].tolist() == [3, 4, 1, 2.5, 1]


def test_subdivided_keeps_shape_colours_and_closedness():
    """No edge is longer than asked; area and volume stay; linear colours stay linear; closed stays closed."""
    mesh = box((1.0, 0.3, 2.0))
    mesh = Mesh(mesh.vertices, mesh.faces, vertex_colors=mesh.vertices * 0.2 + 0.5)
    fine = mesh.subdivided(0.17)
    a, b, c = fine.triangles().unbind(1)
    for edge in (a - b, b - c, c - a):
        assert edge.norm(dim=-1).max() <= 0.17
    assert fine.is_watertight and fine.volume == pytest.approx(mesh.volume, rel=1e-5)
    torch.testing.assert_close(fine.face_areas().sum(), mesh.face_areas().sum())
    torch.testing.assert_close(fine.vertex_colors, fine.vertices * 0.2 + 0.5)
    soup = Mesh(mesh.triangles().reshape(-1, 3), torch.arange(36).reshape(-1, 3))
    assert soup.subdivided(0.17).is_watertight


def test_subdivided_interpolates_uv_and_normals():
    """A texture stays where it was, normals keep length 1."""
    normals = torch.nn.functional.normalize(
        torch.tensor([[0.0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]), dim=-1
    )
    fine = square(uv=UV, texture=torch.zeros(3, 2, 2), normals=normals).subdivided(0.3)
    torch.testing.assert_close(fine.uv, fine.vertices[:, :2])
    torch.testing.assert_close(fine.normals.norm(dim=-1), torch.ones(len(fine.vertices)))


def test_texture_to_vertex_colours():
    """After subdivision a left-red right-blue texture is red on the left and blue on the right."""
    texture = torch.zeros(3, 2, 2)
    texture[0, :, 0] = 1
    texture[2, :, 1] = 1
    colored = square(uv=UV * 0.5 + 0.25, texture=texture).subdivided(0.2).with_vertex_colors()
    torch.testing.assert_close(colored.vertex_colors[:, 2], colored.vertices[:, 0])
    assert colored.texture is None and colored.uv is None


def test_decimated():
    """About as many faces as asked, still closed, nearly the volume, colours of the neighbourhood."""
    mesh = sphere(4)
    mesh = Mesh(mesh.vertices, mesh.faces, vertex_colors=mesh.vertices * 0.5 + 0.5)
    small = mesh.decimated(500)
    assert 450 <= len(small.faces) <= 500 and small.is_watertight
    assert small.volume == pytest.approx(mesh.volume, rel=0.02)
    torch.testing.assert_close(small.vertex_colors, small.vertices * 0.5 + 0.5, atol=0.06, rtol=0)
    assert mesh.decimated(10**6) is mesh
    textured = square(uv=UV, texture=torch.full((3, 2, 2), 0.25)).subdivided(0.1).decimated(20)
    torch.testing.assert_close(textured.vertex_colors, torch.full_like(textured.vertices, 0.25))


def test_trimesh_there_and_back():
    """Vertices, faces, colours (to a byte), normals, uv and texture survive."""
    colors = torch.tensor([[0.0, 0.2, 1.0]]).expand(4, 3)
    normals = torch.tensor([0.0, 0, 1]).expand(4, 3)
    mesh = square(vertex_colors=colors, normals=normals)
    back = Mesh.from_trimesh(mesh.to_trimesh())
    torch.testing.assert_close(back.vertices, mesh.vertices)
    assert torch.equal(back.faces, mesh.faces)
    torch.testing.assert_close(back.vertex_colors, colors, atol=1 / 510, rtol=0)
    torch.testing.assert_close(back.normals, normals)
    texture = torch.arange(48).reshape(3, 4, 4) / 255
    back = Mesh.from_trimesh(square(uv=UV, texture=texture).to_trimesh())
    torch.testing.assert_close(back.uv, UV)
    torch.testing.assert_close(back.texture, texture)


def test_scene_of_two_textures_becomes_fine_vertex_colours():
    """Node transforms apply, textured parts are subdivided, plain materials keep their colour."""
    red = square(uv=UV, texture=torch.tensor([1.0, 0, 0])[:, None, None].expand(3, 2, 2)).to_trimesh()
    green = square(uv=UV, texture=torch.tensor([0.0, 1, 0])[:, None, None].expand(3, 2, 2)).to_trimesh()
    plain = square().to_trimesh()
    plain.visual = trimesh.visual.TextureVisuals(
        material=trimesh.visual.material.SimpleMaterial(diffuse=[0, 0, 255, 255])
    )
    scene = trimesh.Scene()
    for k, part in enumerate((red, green, plain)):
        scene.add_geometry(part, transform=trimesh.transformations.translation_matrix([2 * k, 0, 0]))
    mesh = Mesh.from_trimesh(scene, color_edge=0.05)
    part = (mesh.vertices[:, 0] / 2).floor()
    for k in range(3):
        torch.testing.assert_close(
            mesh.vertex_colors[part == k], torch.eye(3)[k].expand(int((part == k).sum()), 3)
        )
    assert (part == 0).sum() > 30 and (part == 2).sum() == 4


def test_holes_of_a_texture_are_cut_out():
    """A card whose right half is transparent keeps its left half."""
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:, :4] = (0, 255, 0, 255)
    card = square().to_trimesh()
    card.visual = trimesh.visual.TextureVisuals(uv=UV.numpy(), image=Image.fromarray(rgba))
    mesh = Mesh.from_trimesh(card)
    assert float(mesh.bounds[1, 0]) == pytest.approx(0.5, abs=0.05)
    assert float(mesh.face_areas().sum()) == pytest.approx(0.5, abs=0.05)


def test_srgb_and_linear_undo_each_other():
    """IEC 61966-2-1: 0.5 in sRGB is 0.2140 in linear light; there and back is the identity."""
    x = torch.linspace(0, 1, 33)
    torch.testing.assert_close(srgb_from_linear(linear_from_srgb(x)), x, atol=1e-5, rtol=0)
    assert float(linear_from_srgb(torch.tensor([0.5]))) == pytest.approx(0.21404, abs=1e-4)


def test_moving_between_devices_keeps_everything():
    """`to` carries every tensor."""
    mesh = square(uv=UV, texture=torch.zeros(3, 2, 2)).to("cpu")
    assert mesh.uv is not None and mesh.texture.device.type == "cpu"


def test_errors():
    """Impossible meshes and options are refused."""
    with pytest.raises(ValueError, match="A face names vertex 4 or 0, but the mesh has vertices 0 to 3"):
        Mesh(torch.zeros(4, 3), torch.tensor([[0, 1, 4]]))
    with pytest.raises(ValueError, match="needs both uv and texture"):
        square(uv=UV)
    empty = Mesh(torch.zeros(3, 3), torch.zeros(0, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="without faces has no bounds"):
        _ = empty.bounds
    with pytest.raises(ValueError, match="no size cannot be normalized"):
        Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 2]])).normalized()
    with pytest.raises(ValueError, match="count >= 1, got 0"):
        square().largest_components(0)
    with pytest.raises(ValueError, match="at least one mesh"):
        Mesh.cat([])
    with pytest.raises(ValueError, match="max_edge > 0, got 0"):
        square().subdivided(0)
    with pytest.raises(ValueError, match="faces >= 4, got 3"):
        square().decimated(3)
    with pytest.raises(ValueError, match="no faces in it"):
        Mesh.from_trimesh(trimesh.Scene())
    assert math.isfinite(square().volume)
