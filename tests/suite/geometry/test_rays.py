import pytest
import torch

from suite.geometry.cameras import orbit_path
from suite.geometry.rays import Rays, intersect_box


def test_entry_and_exit_lie_on_the_box():
    """For rays that hit, the points at near and far have largest coordinate = radius; between is inside."""
    rays = orbit_path(3, distance=2.0, height=16, width=16).rays()
    near, far = intersect_box(rays.origins, rays.directions, 0.6)
    hit = far > near
    assert hit.any() and not hit.all()
    for distance in (near, far):
        edge = rays.at(distance).abs().amax(-1)
        torch.testing.assert_close(edge[hit], torch.full_like(edge[hit], 0.6), atol=1e-5, rtol=0)
    assert (rays.at((near + far) / 2).abs().amax(-1)[hit] < 0.6).all()


def test_by_hand():
    """Hits, misses, from inside, box behind, and exactly along an axis on the face's plane."""
    origins = torch.tensor([[3.0, 0, 0], [3, 2, 0], [0, 0, 0], [3, 0, 0], [3, 1, 0], [1, 0, 0]])
    directions = torch.tensor([[-1.0, 0, 0], [-1, 0, 0], [0, 0, 1], [1, 0, 0], [-1, 0, 0], [0, 1, 0]])
    near, far = intersect_box(origins, directions, 1.0)
    assert near[0] == 2 and far[0] == 4
    assert far[1] == near[1] and far[3] == near[3]  # no samples
    assert near[2] == 0 and far[2] == 1
    assert torch.isfinite(near).all() and torch.isfinite(far).all()


def test_at():
    """origin + distance * direction."""
    rays = Rays(torch.ones(1, 1, 2, 3), torch.tensor([1.0, 0, 0]).expand(1, 1, 2, 3))
    torch.testing.assert_close(rays.at(torch.tensor([[[1.0, 2.0]]]))[0, 0, 1], torch.tensor([3.0, 1, 1]))


def test_radius_is_checked():
    """A box needs a size."""
    with pytest.raises(ValueError, match="needs radius > 0, got 0"):
        intersect_box(torch.zeros(1, 3), torch.ones(1, 3), 0)
