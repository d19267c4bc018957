import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.geometry.transforms import (
    GLTF_FROM_WORLD,
    OPENCV_FROM_OPENGL,
    WORLD_FROM_GLTF,
    Y_UP_FROM_Z_UP,
    Z_UP_FROM_Y_UP,
    look_at,
    rigid,
    rigid_inverse,
    rotation_z,
    transform_points,
    wrap_degrees,
)

coordinate = st.floats(-3, 3, width=32)
point = st.tuples(coordinate, coordinate, coordinate).map(torch.tensor)
quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@quick
@given(point, point, point)
def test_look_at_is_a_rotation_that_sees_the_target_in_the_middle(position, target, up):
    """R^T R = 1, det R = 1, and the target lies on the negative z axis, for any input however degenerate."""
    world_from_camera = look_at(position, target, up)
    rotation = world_from_camera[:3, :3]
    torch.testing.assert_close(rotation.T @ rotation, torch.eye(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.tensor(1.0), atol=1e-5, rtol=0)
    p_camera = transform_points(rigid_inverse(world_from_camera), target)
    distance = (target - position).norm()
    torch.testing.assert_close(
        p_camera, torch.stack([0 * distance, 0 * distance, -distance]), atol=2e-5, rtol=0
    )


def test_look_at_keeps_up_up():
    """The camera's y axis has a positive component along `up`."""
    matrix = look_at(torch.tensor([1.0, 2, 3]), torch.zeros(3), torch.tensor([0.0, 0, 1]))
    assert matrix[2, 1] > 0.5


def test_look_at_along_up_and_at_itself_is_finite():
    """Straight down with up = z: right is +Y, as on an orbit at azimuth 0. No direction at all: along -X."""
    down = look_at(torch.tensor([0.0, 0, 2]), torch.zeros(3), torch.tensor([0.0, 0, 1]))
    torch.testing.assert_close(down[:3, 0], torch.tensor([0.0, 1, 0]))
    along_y = look_at(torch.tensor([0.0, 2, 0]), torch.zeros(3), torch.tensor([0.0, 1, 0]))
    torch.testing.assert_close(along_y[:3, 0], torch.tensor([1.0, 0, 0]))
    still = look_at(torch.zeros(3), torch.zeros(3), torch.tensor([0.0, 0, 1]))
    torch.testing.assert_close(still[:3, 2], torch.tensor([1.0, 0, 0]))


@quick
@given(point, point, point, st.floats(-720, 720, width=32))
def test_rigid_transforms_form_a_group(position, target, p, angle):
    """T^-1 T = 1; (T S) p = T (S p); distances are kept."""
    t, s = look_at(position, target, torch.tensor([0.0, 0, 1])), rotation_z(torch.tensor(angle))
    torch.testing.assert_close(rigid_inverse(t) @ t, torch.eye(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        transform_points(t @ s, p), transform_points(t, transform_points(s, p)), atol=1e-5, rtol=0
    )
    moved = transform_points(t, p) - transform_points(t, target)
    torch.testing.assert_close(moved.norm(), (p - target).norm(), atol=1e-5, rtol=0)


def test_rotation_z_adds_to_the_azimuth():
    """A quarter turn takes +X to +Y."""
    p = transform_points(rotation_z(torch.tensor([90.0, -90.0])), torch.tensor([1.0, 0, 0]))
    torch.testing.assert_close(p, torch.tensor([[0.0, 1, 0], [0, -1, 0]]), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("there", "back"),
    [
        (OPENCV_FROM_OPENGL, OPENCV_FROM_OPENGL),
        (Y_UP_FROM_Z_UP, Z_UP_FROM_Y_UP),
        (GLTF_FROM_WORLD, WORLD_FROM_GLTF),
    ],
)
def test_changes_of_axes_are_rotations_and_undo_each_other(there, back):
    """back @ there = 1 and det = 1: nothing is mirrored."""
    assert torch.equal(back @ there, torch.eye(4))
    assert torch.linalg.det(there) == 1


def test_axes_go_where_their_names_say():
    """Our up is y in both y-up systems; our front +X is glTF's front +Z; Blender's rule keeps x."""
    x, z = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1])
    assert transform_points(Y_UP_FROM_Z_UP, z).tolist() == [0, 1, 0]
    assert transform_points(Y_UP_FROM_Z_UP, x).tolist() == [1, 0, 0]
    assert transform_points(GLTF_FROM_WORLD, z).tolist() == [0, 1, 0]
    assert transform_points(GLTF_FROM_WORLD, x).tolist() == [0, 0, 1]


def test_wrap_degrees():
    """Into (-180, 180]: the lower end is open, the upper closed."""
    given = torch.tensor([0.0, 180, -180, 181, -181, 360, 540, -540, 720])
    assert wrap_degrees(given).tolist() == [0, 180, 180, -179, 179, 0, 180, 180, 0]


def test_rigid_batches():
    """A batch of rotations and translations becomes a batch of matrices with last row (0, 0, 0, 1)."""
    matrices = rigid(torch.eye(3).expand(2, 5, 3, 3), torch.ones(2, 5, 3))
    assert matrices.shape == (2, 5, 4, 4) and matrices[1, 4, 3].tolist() == [0, 0, 0, 1]
