"""Mesh files to captioned, coloured, oriented objects: the loader and what it is built on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from scipy.spatial import cKDTree

from suite.errors import UserError
from suite.geometry.mesh import Mesh
from suite.geometry.remeshing import is_watertight, split_long_edges
from suite.toyworld.baking import bake, sample, split_longest_edges
from suite.toyworld.materials import GLASS, Part, read_parts, transformed
from suite.toyworld.real_objects import load_objects, mesh_of, read_object, save_object, slug, write_captions
from suite.toyworld.thinning import shared_limit, thinned


def quad_obj(folder: Path, name: str = "quad", material: str = "", image: Image.Image | None = None) -> Path:
    """A unit square in the file's xy plane (it faces +Z), uv = xy, with a material."""
    if image is not None:
        image.save(folder / f"{name}.png")
        material += f"\nmap_Kd {name}.png"
    (folder / f"{name}.mtl").write_text(f"newmtl m\n{material}\n")
    corners = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nvn 0 0 1\n"
    faces = "f 1/1/1 2/2/1 3/3/1\nf 1/1/1 3/3/1 4/4/1\n"
    path = folder / f"{name}.obj"
    path.write_text(f"mtllib {name}.mtl\n{corners}usemtl m\n{faces}")
    return path


def part_of(mesh: trimesh.Trimesh) -> Part:
    vertices = np.asarray(mesh.vertices, float)
    normals = np.asarray(mesh.vertex_normals, float)
    return Part(vertices, np.asarray(mesh.faces), normals, np.full((len(vertices), 3), 0.5))


def area(part: Part) -> float:
    return float(trimesh.Trimesh(part.vertices, part.faces, process=False).area)


def tiny_mesh() -> Mesh:
    vertices = torch.tensor([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.5, 0.0]])
    colors = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.2, 0.4, 0.6]])
    return Mesh(vertices, torch.tensor([[0, 1, 2]]), vertex_colors=colors)


# ---- materials


def test_an_opaque_material_is_its_diffuse_colour(tmp_path):
    """Kd, unchanged, at every vertex."""
    (part,) = read_parts(quad_obj(tmp_path, material="Kd 0.2 0.4 0.6"))
    np.testing.assert_allclose(part.colors, np.tile([0.2, 0.4, 0.6], (4, 1)), atol=1 / 255)


@pytest.mark.parametrize("opacity", [0.25, 0.5])
def test_transparency_fades_to_glass(tmp_path, opacity):
    """opacity * Kd + (1 - opacity) * glass."""
    (part,) = read_parts(quad_obj(tmp_path, material=f"Kd 1 0 0\nd {opacity}"))
    np.testing.assert_allclose(
        part.colors[0], opacity * np.array([1, 0, 0]) + (1 - opacity) * GLASS, atol=0.005
    )


def test_what_cannot_be_seen_is_left_out(tmp_path):
    """A material of opacity 0 has no faces; a file of only such has nothing to show, and says so."""
    path = quad_obj(tmp_path, material="Kd 1 0 0\nd 0.0")
    with pytest.raises(UserError, match="has no visible faces"):
        read_parts(path)
    assert len(read_parts(quad_obj(tmp_path, material="Kd 1 0 0\nd 0.5"), invisible=0.1)) == 1
    with pytest.raises(UserError, match="has no visible faces"):
        read_parts(path, invisible=0.7)


def test_doubled_faces_face_outwards(tmp_path):
    """A box with each face in both windings and no normals comes out once, its normals away from the centre."""
    box = trimesh.creation.box()
    faces = np.concatenate([box.faces, box.faces[:, ::-1]]) + 1
    lines = [f"v {x} {y} {z}" for x, y, z in box.vertices] + [f"f {a} {b} {c}" for a, b, c in faces]
    (tmp_path / "box.obj").write_text("\n".join(lines))
    (part,) = read_parts(tmp_path / "box.obj")
    assert len(part.faces) == 12
    assert ((part.vertices * part.normals).sum(-1) > 0.1).all()


def test_winding_follows_the_normals_of_the_file(tmp_path):
    """Faces wound against the file's normals are turned."""
    path = quad_obj(tmp_path)
    path.write_text(path.read_text().replace("vn 0 0 1", "vn 0 0 -1"))
    (part,) = read_parts(path)
    a, b, c = part.vertices[part.faces[0]]
    assert np.cross(b - a, c - a)[2] < 0


# ---- baking


def test_a_texture_lands_where_its_coordinates_say(tmp_path):
    """Red left, blue right, green top: each vertex away from the borders has exactly its region's colour."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:], pixels[:16] = (255, 0, 0), (0, 0, 255), (0, 255, 0)
    path = quad_obj(tmp_path, image=Image.fromarray(pixels))
    mesh = bake(read_parts(path), max_edge=0.05)
    x, y = mesh.vertices[:, 0], mesh.vertices[:, 1]
    inside = np.abs(mesh.vertices).max(1) < 0.45  # at the borders the texture repeats
    for chosen, color in [
        ((x < -0.07) & (y < 0.18) & inside, (1, 0, 0)),
        ((x > 0.07) & (y < 0.18) & inside, (0, 0, 1)),
        ((y > 0.32) & inside, (0, 1, 0)),
    ]:
        assert chosen.sum() > 20
        np.testing.assert_allclose(mesh.colors[chosen], np.tile(color, (chosen.sum(), 1)), atol=1e-5)


def test_fine_patterns_become_their_mean(tmp_path):
    """A one-texel checkerboard is mid grey at every vertex: no aliasing."""
    pixels = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    mesh = bake(read_parts(quad_obj(tmp_path, image=Image.fromarray(pixels))), max_edge=0.05)
    assert np.abs(mesh.colors - 0.5).max() < 0.3  # point sampling: 0.5
    assert np.abs(mesh.colors - 0.5).mean() < 0.06


def test_holes_in_a_texture_are_holes_in_the_mesh(tmp_path):
    """Half the texture transparent: half the area goes, and its hidden colour does not bleed."""
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :32], pixels[:, 32:] = (0, 200, 0, 255), (255, 0, 0, 0)
    path = quad_obj(tmp_path, image=Image.fromarray(pixels))
    mesh = bake(read_parts(path), max_edge=0.03)
    assert area(mesh) == pytest.approx(0.5, rel=0.05)
    np.testing.assert_allclose(mesh.colors, np.tile([0, 200 / 255, 0], (len(mesh.colors), 1)), atol=0.02)


def test_texture_lookup_is_bilinear_and_repeats():
    """Texel centres give texels, the middle between them the mean, whole numbers change nothing."""
    texture = np.arange(12.0).reshape(2, 2, 3)
    uv = np.array([[0.25, 0.75], [0.5, 0.75], [1.25, -0.25]])
    np.testing.assert_allclose(sample(texture, uv), [[0, 1, 2], [1.5, 2.5, 3.5], [0, 1, 2]])


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 0.01, 0.4)])
def test_splitting_keeps_a_surface_closed(size):
    """Area stays, no edge is too long, a watertight box stays watertight, no more faces than by halving
    all edges."""
    box = trimesh.creation.box(size)
    vertices, faces = split_longest_edges(np.asarray(box.vertices), np.asarray(box.faces), 0.1, 10**6)
    corners = vertices[faces]
    assert np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1).max() <= 0.1
    assert trimesh.Trimesh(vertices, faces, process=False).area == pytest.approx(box.area)
    assert is_watertight(vertices, faces)
    plain = split_long_edges(np.asarray(box.vertices), np.asarray(box.faces), 0.1)[1]
    assert len(faces) <= len(plain)


def test_splitting_stops_at_the_limit():
    """At most about twice as many faces as allowed, however fine the wish."""
    box = trimesh.creation.box()
    assert len(split_longest_edges(np.asarray(box.vertices), np.asarray(box.faces), 0.001, 1000)[1]) <= 2000


def test_baked_meshes_are_normalized(tmp_path):
    """Longest side 1, centre at the origin, unit normals; bad options and flat points are refused."""
    parts = transformed(read_parts(quad_obj(tmp_path)), np.diag([3.0, 7.0, 1.0]))
    mesh = bake(parts)
    np.testing.assert_allclose(
        [mesh.vertices.min(0), mesh.vertices.max(0)], [[-3 / 14, -0.5, 0], [3 / 14, 0.5, 0]]
    )
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1)
    with pytest.raises(ValueError, match="max_edge > 0 and max_faces >= 100, got 0 and 30000"):
        bake(parts, max_edge=0)
    with pytest.raises(UserError, match="bounding box has no size"):
        bake([replace(parts[0], vertices=np.zeros((4, 3)))])


# ---- thinning


def test_the_limit_is_paid_by_the_large():
    """Water-filling by hand."""
    assert shared_limit([10, 500, 1000], 610) == 300
    assert shared_limit([10, 20], 100) == 20


def test_a_sphere_stays_a_sphere():
    """A tenth of the faces, still within 1 % of the radius, colours kept."""
    sphere = part_of(trimesh.creation.icosphere(subdivisions=5, radius=0.5))
    few = thinned(sphere, 2000)
    assert len(few.faces) <= 2400
    np.testing.assert_allclose(np.linalg.norm(few.vertices, axis=1), 0.5, atol=0.005)
    assert ((few.normals * few.vertices).sum(-1) > 0.45).all()
    np.testing.assert_allclose(few.colors, 0.5)


def leaves(count: int, size: float) -> Part:
    """Separate squares at random places and angles."""
    random = np.random.default_rng(0)
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * size / 2
    turns = trimesh.transformations.random_rotation_matrix
    vertices = np.concatenate(
        [square @ turns(random.random(3))[:3, :3].T + random.uniform(-0.45, 0.45, 3) for _ in range(count)]
    )
    faces = (np.array([[0, 1, 2], [0, 2, 3]]) + 4 * np.arange(count)[:, None, None]).reshape(-1, 3)
    return part_of(trimesh.Trimesh(vertices, faces, process=False))


def test_foliage_keeps_its_area():
    """A tenth of the leaves, each ten times as large."""
    tree = leaves(2000, 0.02)
    few = thinned(tree, 400)
    assert len(few.faces) == 400
    assert area(few) == pytest.approx(area(tree), rel=1e-6)


def test_what_resists_collapse_is_clustered():
    """Large loose leaves are all border and too large to be foliage; still the count comes down, in place."""
    few_leaves = leaves(30, 0.3)
    fine, faces = split_longest_edges(few_leaves.vertices, few_leaves.faces, 0.04, 10**6)
    loose = trimesh.Trimesh(
        fine[faces].reshape(-1, 3), np.arange(3 * len(faces)).reshape(-1, 3), process=False
    )
    few = thinned(part_of(loose), len(faces) // 8)
    assert len(few.faces) <= 1.2 * (len(faces) // 8)
    assert cKDTree(few.vertices).query(fine)[0].max() < 0.1


# ---- the loader


def test_front_and_up_of_a_file(tmp_path):
    """glTF: +Y up and +Z the front; in the world +Z is up and +X the front. Other formats: as `axes` says."""
    box = trimesh.creation.box([0.2, 1.0, 0.6])  # x, y, z of the file
    box.visual.vertex_colors = [[255, 0, 0, 255] if v[2] > 0 else [0, 0, 255, 255] for v in box.vertices]
    for kind, axes in {"glb": "auto", "ply": "gltf", "obj": "gltf"}.items():
        (tmp_path / kind).mkdir()
        box.export(tmp_path / kind / f"tall_box.{kind}")
        (thing,) = load_objects(tmp_path / kind, axes=axes)
        assert (thing.id, thing.caption, thing.licence, thing.front) == ("tall_box", "tall box", "", True)
        torch.testing.assert_close(thing.mesh.bounds[1], torch.tensor([0.3, 0.1, 0.5]))
        red = thing.mesh.vertices[:, 0] > 0
        expected = torch.tensor([1.0, 0, 0]).expand(int(red.sum()), 3)
        torch.testing.assert_close(thing.mesh.vertex_colors[red], expected)
    (thing,) = load_objects(tmp_path / "ply")
    torch.testing.assert_close(thing.mesh.bounds[1], torch.tensor([0.1, 0.5, 0.3]))


def test_textures_of_glb_files_are_baked(tmp_path):
    """A GLB of one colour in a texture has that colour at its vertices."""
    image = Image.new("RGB", (8, 8), (200, 100, 50))
    square = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 1, 0]], [[0, 1, 2]], process=False)
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=image)
    square.visual = trimesh.visual.TextureVisuals(uv=np.array([[0, 0], [1, 0], [1, 1]]), material=material)
    square.export(tmp_path / "flag.glb")
    (thing,) = load_objects(tmp_path)
    expected = torch.tensor([200, 100, 50]).expand(len(thing.mesh.vertices), 3) / 255
    torch.testing.assert_close(thing.mesh.vertex_colors, expected, atol=0.01, rtol=0)
    assert len(thing.mesh.vertices) > 100


def test_captions_come_from_the_table_or_the_name(tmp_path):
    """A row of captions.csv wins; a file without one is called by its name."""
    quad_obj(tmp_path, "Teddy_Bear-2")
    quad_obj(tmp_path, "x17")
    (tmp_path / "captions.csv").write_text('file,caption,creator,front\nx17.obj,rocking horse,"A, B",no\n')
    bear, horse = load_objects(tmp_path)
    assert (bear.caption, bear.creator, bear.front) == ("teddy bear 2", "", True)
    assert (horse.caption, horse.creator, horse.front, horse.id) == ("rocking horse", "A, B", False, "x17")


def test_saved_objects_come_back(tmp_path):
    """Up to the bytes of colours and the half precision of normals; with all that is known of them."""
    mesh = tiny_mesh()
    save_object(tmp_path / "flag.npz", mesh)
    again = read_object(tmp_path / "flag.npz")
    torch.testing.assert_close(again.vertices, mesh.vertices)
    torch.testing.assert_close(again.vertex_colors, mesh.vertex_colors, atol=1 / 510, rtol=0)
    torch.testing.assert_close(again.normals, mesh.vertex_normals(), atol=1e-3, rtol=0)
    (thing,) = load_objects(tmp_path)
    write_captions(tmp_path, [thing])
    (same,) = load_objects(tmp_path)
    assert (same.id, same.caption, same.front) == (thing.id, thing.caption, thing.front)


def test_a_caption_becomes_a_file_name():
    """Only letters, digits and underscores."""
    assert slug("Rubik's cube") == "rubiks_cube" and slug("ping-pong table") == "ping_pong_table"


def test_mistakes_are_named(tmp_path):
    """Each says what was asked and what to do."""
    with pytest.raises(UserError, match="There is no folder .*nowhere with meshes"):
        load_objects(tmp_path / "nowhere")
    with pytest.raises(UserError, match="has no meshes; it should hold files ending in .npz, .glb"):
        load_objects(tmp_path)
    with pytest.raises(ValueError, match="axes 'auto', 'world', 'gltf' or 'y_up', not 'x'"):
        load_objects(tmp_path, axes="x")
    quad_obj(tmp_path, "horse")
    captions = tmp_path / "captions.csv"
    captions.write_text("file,caption\nhorse.obj,horse\ncow.obj,cow\n")
    with pytest.raises(UserError, match="captions cow.obj, but .* has no such mesh"):
        load_objects(tmp_path)
    captions.write_text("name,words\nhorse.obj,horse\n")
    with pytest.raises(UserError, match="needs the columns file,caption; it has name,words"):
        load_objects(tmp_path)
    quad_obj(tmp_path, "mare")
    captions.write_text("file,caption\nmare.obj,horse\n")
    with pytest.raises(UserError, match="horse.obj and mare.obj in .* are both captioned 'horse'"):
        load_objects(tmp_path)
    captions.unlink()
    quad_obj(tmp_path, "__")
    with pytest.raises(UserError, match="__.obj has no caption"):
        load_objects(tmp_path)


def test_damaged_files_are_named(tmp_path):
    """A mesh or an .npz that cannot be read is named; a mesh without colours is not saved."""
    (tmp_path / "broken.glb").write_bytes(b"nothing")
    with pytest.raises(UserError, match="broken.glb cannot be read as a mesh"):
        load_objects(tmp_path)
    (tmp_path / "broken.glb").rename(tmp_path / "broken.npz")
    with pytest.raises(UserError, match="broken.npz is not an object that suite prepare_objects wrote"):
        load_objects(tmp_path)
    with pytest.raises(UserError, match="There is no mesh at .*none.obj"):
        read_parts(tmp_path / "none.obj")
    plain = Mesh(tiny_mesh().vertices, tiny_mesh().faces)
    with pytest.raises(ValueError, match="needs a mesh with vertex colours"):
        save_object(tmp_path / "plain.npz", plain)


def test_meshes_of_baked_parts_are_whole(tmp_path):
    """A baked part as a Mesh: same positions, colours and unit normals, in float32."""
    mesh = mesh_of(bake(read_parts(quad_obj(tmp_path, material="Kd 0.5 0.5 0"))))
    assert mesh.vertices.dtype == torch.float32 and mesh.faces.dtype == torch.int64
    torch.testing.assert_close(mesh.vertex_normals(), torch.tensor([[0.0, 0, 1]]).expand(4, 3))
