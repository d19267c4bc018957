"""BVH files: forward kinematics by hand arithmetic, and files that are damaged."""

import numpy as np
import pytest

from suite.errors import UserError
from suite.io.bvh import load_bvh

ARM = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Arm
  {
    OFFSET 0 2 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 1 0 0
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.05
0 0 0  0 0 0  0 0 0
5 6 7  90 0 0  0 0 0
0 0 0  0 0 0  90 0 90
"""


@pytest.fixture
def bvh(tmp_path):
    """Writes text as a file."""

    def write(text: str):
        path = tmp_path / "a.bvh"
        path.write_text(text)
        return path

    return write


def test_hierarchy_and_rate(bvh):
    """Names, parents, offsets and channels as written; the end of a limb is called after its joint."""
    motion = load_bvh(bvh(ARM))
    assert motion.names == ("Hips", "Arm", "Arm_end") and motion.parents == (-1, 0, 1)
    assert motion.offsets.tolist() == [[0, 0, 0], [0, 2, 0], [1, 0, 0]]
    assert motion.channels[1] == ("Zrotation", "Xrotation", "Yrotation") and motion.channels[2] == ()
    assert len(motion) == 3 and motion.fps == pytest.approx(20)


def test_positions_by_hand(bvh):
    """At rest; moved by (5, 6, 7) and turned by 90 degrees about z; the arm alone turned, first about z, then y.

    R_z(90) R_y(90) (1, 0, 0) = R_z(90) (0, 0, -1) = (0, 0, -1).
    """
    rest, turned, arm = load_bvh(bvh(ARM)).positions()
    np.testing.assert_allclose(rest, [[0, 0, 0], [0, 2, 0], [1, 2, 0]], atol=1e-12)
    np.testing.assert_allclose(turned, [[5, 6, 7], [3, 6, 7], [3, 7, 7]], atol=1e-12)
    np.testing.assert_allclose(arm, [[0, 0, 0], [0, 2, 0], [0, 2, -1]], atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: "hello", "is no BVH file: it does not begin with HIERARCHY"),
        (lambda t: t[: t.index("MOTION")], "is cut short: it has no MOTION. Copy it again"),
        (lambda t: t[: t.index("5 6 7")], "is cut short: it says 3 frames and holds 1"),
        (lambda t: t[:-12], "frame 2 has 5 numbers, and its channels need 9"),
        (lambda t: t.replace("5 6 7", "5 six 7"), "holds something that is not a number"),
        (lambda t: t.replace("Frames: 3", "Frames"), "does not say Frames: N and Frame Time: SECONDS"),
        (lambda t: t.replace("0.05", "0"), "has a Frame Time of 0.0: it must be above 0"),
        (lambda t: t.replace("Xposition", "Wposition"), "'Wposition' is not a channel; they are Xposition"),
        (lambda t: t.replace("  }\n}\nMOTION", "MOTION"), "The hierarchy of .* cannot be read: a brace is not closed"),
        (lambda t: t.replace("OFFSET 0 2 0", "OFFSIDE 0 2 0"), "'OFFSIDE' is not expected there"),
    ],
)  # fmt: skip
def test_damaged_files(bvh, change, message):
    """One line each, with what is wrong."""
    with pytest.raises(UserError, match=message):
        load_bvh(bvh(change(ARM)))


def test_a_missing_file(tmp_path):
    """It is named."""
    with pytest.raises(UserError, match="There is no BVH file at .*none.bvh"):
        load_bvh(tmp_path / "none.bvh")
