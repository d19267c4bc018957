"""The viewer of notebooks carries the mesh, whole, and stands alone."""

import base64
import re

import numpy as np
import pytest
import torch

from suite.geometry.mesh import Mesh
from suite.mesh_view import UNIT, MeshView
from suite.toyworld.objects import build, parse


def mesh_of(prompt: str) -> Mesh:
    surface = build(parse(prompt))
    vertices, faces, colors = (torch.from_numpy(x) for x in (surface.vertices, surface.faces, surface.colors))
    return Mesh(vertices, faces, vertex_colors=colors)


def tetrahedron(**more) -> Mesh:
    corners = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 2]])
    return Mesh(corners, torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]), **more)


def test_the_bytes_are_the_mesh():
    """Decoded as the page decodes them: the corners about the origin with longest side 1, the faces in their
    order, and each face's colour."""
    colors = torch.tensor([[1.0, 0, 0]] * 3 + [[0.0, 0, 1]])
    data = MeshView(tetrahedron(vertex_colors=colors)).data()
    vertices = np.frombuffer(data, "<i2", 12).reshape(4, 3) / UNIT
    faces = np.frombuffer(data, "<u2", 12, offset=24).reshape(4, 3)
    shown = np.frombuffer(data, "u1", offset=48).reshape(4, 3)
    np.testing.assert_allclose(vertices, tetrahedron().vertices / 2 - 0.5, atol=1e-4)
    np.testing.assert_array_equal(faces, tetrahedron().faces)
    np.testing.assert_array_equal(shown, [[255, 0, 0], [170, 0, 85], [170, 0, 85], [170, 0, 85]])


def test_it_stands_alone_and_is_small():
    """No address in it, no mark of the template left, at most 80 kB for a detailed mesh; what is in the page
    is what `data` gives."""
    view = MeshView(mesh_of("a red car with a roof rack").subdivided(0.03))
    assert len(view.mesh.faces) <= 2500
    html = view._repr_html_()
    assert "http" not in html and "$" not in html and len(html) < 80_000
    assert base64.b64decode(re.search(r'atob\("([^"]+)"\)', html)[1]) == view.data()
    assert f"V = {len(np.unique(view.mesh.faces))}, F = {len(view.mesh.faces)};" in html


def test_a_mesh_without_colours_is_grey():
    """Grey at (.5, .5, .5) where the mesh has neither vertex colours nor a texture."""
    assert set(MeshView(tetrahedron()).data()[48:]) == {128}


def test_errors_say_what_is_possible():
    """Nothing to show, or numbers out of range."""
    empty = Mesh(torch.zeros(3, 3), torch.zeros(0, 3, dtype=torch.long))
    with pytest.raises(ValueError, match="nothing to show: the mesh has no faces"):
        MeshView(empty)
    with pytest.raises(ValueError, match="needs 4 <= faces <= 20000 and size >= 16, got faces=3, size=360"):
        MeshView(tetrahedron(), faces=3)
