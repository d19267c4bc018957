"""People: kinematics by hand arithmetic, joints against surfaces and pictures, words against their parser."""

from itertools import combinations

import numpy as np
import pytest

from suite.errors import UserError
from suite.toyworld import characters
from suite.toyworld.outfits import OUTFITS, Outfit
from suite.toyworld.paints import COLORS, FIXED
from suite.toyworld.poses import POSES, Arm, Leg, Pose, blend, jittered
from suite.toyworld.render import Lights, render
from suite.toyworld.skeletons import BUILDS, COCO_JOINTS, skeleton

STUDENT = OUTFITS["student"]
STRAIGHT = Pose("straight", *(2 * [Arm(out=0, bend=0)]), *(2 * [Leg(out=0)]))
BONES = [(f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in (
    ("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))]  # fmt: skip
each_pose = pytest.mark.parametrize("name", POSES)


def _cameras(azimuths_deg: list[float], elevation_deg: float = 10.0, distance: float = 1.8) -> np.ndarray:
    """OpenGL poses `b 4 4` on a circle, looking at the origin, +Z up."""
    poses, e = [], np.deg2rad(elevation_deg)
    for a in np.deg2rad(azimuths_deg):
        back = np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
        right = np.array([-np.sin(a), np.cos(a), 0.0])
        pose = np.eye(4)
        pose[:3] = np.stack([right, np.cross(back, right), back, distance * back], 1)
        poses.append(pose)
    return np.stack(poses)


def _pictures(outfit: Outfit, pose: Pose, azimuths_deg: list[float], height: int = 64):
    """Flatly lit, so that a picture's colours are the paints'."""
    cameras, ones = _cameras(azimuths_deg), np.ones(len(azimuths_deg), np.float32)
    lights = Lights(np.tile(np.array([0, 0, 1], np.float32), (len(cameras), 1)), ones, 0 * ones)
    fov = np.full(len(cameras), 40.0)
    return render(characters.surface(outfit, pose), cameras, fov, height=height, width=height, lights=lights)


def _share(images: np.ndarray, color: tuple[float, float, float]) -> np.ndarray:
    """How much of each picture `b h w 3` has this colour."""
    return (np.abs(images - np.array(color)).max(-1) < 0.02).mean((1, 2))


def test_straight_limbs_hang_under_their_roots():
    """With all angles 0, a wrist is 0.22 + 0.2 under its shoulder and an ankle 0.27 + 0.25 under its hip."""
    joints = skeleton(BUILDS["average"], STRAIGHT).joints
    for side in ("left", "right"):
        np.testing.assert_allclose(
            joints[f"{side}_wrist"] - joints[f"{side}_shoulder"], [0, 0, -0.42], atol=1e-12
        )
        np.testing.assert_allclose(joints[f"{side}_ankle"] - joints[f"{side}_hip"], [0, 0, -0.52], atol=1e-12)


@pytest.mark.parametrize(
    "arm, elbow, wrist",
    [
        (Arm(forward=90, out=0, bend=0), (0.22, 0, 0), (0.42, 0, 0)),
        (Arm(forward=0, out=90, bend=0), (0, 0.22, 0), (0, 0.42, 0)),
        (Arm(forward=0, out=180, bend=0), (0, 0, 0.22), (0, 0, 0.42)),
        (Arm(forward=0, out=0, bend=90), (0, 0, -0.22), (0.2, 0, -0.22)),
        (Arm(forward=0, out=0, bend=90, twist=90), (0, 0, -0.22), (0, 0.2, -0.22)),
        (Arm(forward=0, out=90, bend=90, twist=90), (0, 0.22, 0), (0, 0.22, 0.2)),
    ],
)
def test_arm_angles_mean_what_they_say(arm: Arm, elbow: tuple, wrist: tuple):
    """Forward, out, straight up, bent to the front, bent away from the body, a hand held up: by hand."""
    for side, name in ((1, "left"), (-1, "right")):
        joints = skeleton(BUILDS["average"], Pose(left_arm=arm, right_arm=arm)).joints
        for joint, place in (("elbow", elbow), ("wrist", wrist)):
            offset = joints[f"{name}_{joint}"] - joints[f"{name}_shoulder"]
            np.testing.assert_allclose(offset, np.array(place) * [1, side, 1], atol=1e-12)


def test_leg_angles_mean_what_they_say():
    """Raised and bent by 90, the knee is ahead of the hip, the ankle below the knee; heels bend back."""
    joints = skeleton(BUILDS["average"], Pose(left_leg=Leg(90, 0, 90), right_leg=Leg(0, 0, 90))).joints
    np.testing.assert_allclose(joints["left_knee"] - joints["left_hip"], [0.27, 0, 0], atol=1e-12)
    np.testing.assert_allclose(joints["left_ankle"] - joints["left_knee"], [0, 0, -0.25], atol=1e-12)
    np.testing.assert_allclose(joints["right_ankle"] - joints["right_knee"], [-0.25, 0, 0], atol=1e-12)


@pytest.mark.parametrize("build", BUILDS)
def test_bones_keep_their_lengths(build: str):
    """Rotations are rigid: in every pose each bone of a limb is as long as in the straight one."""
    straight = skeleton(BUILDS[build], STRAIGHT).joints
    for pose in (make(phase) for make in POSES.values() for phase in (0.0, 0.3)):
        joints = skeleton(BUILDS[build], pose).joints
        for a, b in BONES:
            length = np.linalg.norm(joints[a] - joints[b])
            assert length == pytest.approx(np.linalg.norm(straight[a] - straight[b]), abs=1e-9), (
                pose.name,
                a,
                b,
            )


@pytest.mark.parametrize("name", ["walking", "running"])
def test_half_a_stride_later_sides_are_exchanged(name: str):
    """A gait's second half mirrors its first."""
    now, later = (skeleton(BUILDS["average"], POSES[name](phase)).joints for phase in (0.1, 0.6))
    for a, b in BONES:
        for left in (a, b):
            mirrored = later[left.replace("left", "x").replace("right", "left").replace("x", "right")]
            np.testing.assert_allclose(now[left], mirrored * [1, -1, 1], atol=1e-9)


@each_pose
def test_a_pose_is_a_continuous_cycle(name: str):
    """Phases 0 and 1 are the same pose, and a hundredth of a cycle moves no joint by more than a tenth."""
    places = [skeleton(BUILDS["average"], POSES[name](k / 100)).joints for k in range(101)]
    for joint in COCO_JOINTS:
        path = np.stack([place[joint] for place in places])
        np.testing.assert_allclose(path[0], path[-1], atol=1e-9)
        assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() < 0.1


def test_blend_goes_from_one_pose_to_the_other():
    """Linear in each angle; name and stool are the nearer pose's."""
    a, b = (
        Pose("a", left_arm=Arm(forward=10), lean=4),
        Pose("b", left_arm=Arm(forward=30), lean=8, stool=True),
    )
    assert (blend(a, b, 0.0), blend(a, b, 1.0)) == (a, b)
    quarter = blend(a, b, 0.25)
    assert (quarter.left_arm.forward, quarter.lean, quarter.name, quarter.stool) == (15, 5, "a", False)


def test_jitter_has_the_given_deviation():
    """Over many draws the standard deviation of an angle is the one asked for; words and lift stay."""
    random, pose = np.random.default_rng(0), POSES["jumping"](0.5)
    draws = [jittered(pose, 3.0, random) for _ in range(400)]
    assert np.std([draw.left_arm.out for draw in draws]) == pytest.approx(3.0, rel=0.15)
    assert {(draw.name, draw.lift) for draw in draws} == {(pose.name, pose.lift)}


@pytest.mark.parametrize("outfit", OUTFITS)
def test_joints_lie_in_the_body(outfit: str):
    """Surface and joints share one normalisation: centred box, longest side 1, eyes on the eyeballs."""
    for name in ("standing", "running", "sitting"):
        pose = POSES[name](0.2)
        surface, joints = characters.surface(OUTFITS[outfit], pose), characters.joints(OUTFITS[outfit], pose)
        low, high = surface.vertices.min(0), surface.vertices.max(0)
        np.testing.assert_allclose(low, -high, atol=1e-6)
        assert (high - low).max() == pytest.approx(1.0, abs=1e-6)
        assert set(COCO_JOINTS) <= set(joints)
        assert all((low <= place).all() and (place <= high).all() for place in joints.values())
        white = surface.vertices[np.abs(surface.colors - FIXED["white"]).max(1) < 1e-3]
        for side in ("left", "right"):
            assert np.linalg.norm(white - joints[f"{side}_eye"], axis=1).min() < 0.04


def test_eyes_are_at_the_front_and_their_left_is_plus_y():
    """Facing +X, the nose is ahead of the ears, and the left eye is at greater y than the right."""
    joints = characters.joints(STUDENT, POSES["standing"](0.0))
    assert joints["nose"][0] > joints["left_eye"][0] > joints["left_ear"][0]
    assert joints["left_eye"][1] > 0 > joints["right_eye"][1]


@pytest.mark.parametrize("outfit", OUTFITS)
def test_people_stand_on_the_ground(outfit: str):
    """The lowest point is at the pose's lift, and faces stay within the budget."""
    for name in ("standing", "jumping"):
        shapes = characters.person(OUTFITS[outfit], POSES[name](0.5))
        assert min(s.vertices[:, 2].min() for s in shapes) == pytest.approx(POSES[name](0.5).lift)
        assert sum(len(s.faces) for s in shapes) <= 3000


@each_pose
def test_colours_of_both_garments_are_seen_from_all_sides(name: str):
    """From eight sides, shirt and trousers each fill 15 % of what is covered, and never under 3 %."""
    pictures = _pictures(Outfit("green", "purple"), POSES[name](0.25), [45.0 * k for k in range(8)])
    covered = pictures.masks.mean((1, 2))
    for color in ("green", "purple"):
        share = _share(pictures.images, COLORS[color]) / covered
        assert share.mean() > 0.15 and share.min() > 0.03, (color, share)


def test_the_face_is_seen_from_the_front_only():
    """The white of the eyes is visible at azimuth 0 and not at 180."""
    share = _share(
        _pictures(STUDENT, POSES["standing"](0.0), [0.0, 180.0], 256).images[:, 20:120, 98:158],
        FIXED["white"],
    )
    assert share[0] > 0.01 and share[1] == 0


def test_poses_look_different():
    """Of any two poses, the pictures from three sides differ on over a tenth of what is covered."""
    pictures = {name: _pictures(STUDENT, make(0.25), [20.0, 90.0, 200.0]) for name, make in POSES.items()}
    for one, other in combinations(pictures, 2):
        a, b = pictures[one], pictures[other]
        differing = (np.abs(a.images - b.images).max(-1) > 0.15).sum() / np.maximum(a.masks, b.masks).sum()
        assert differing > 0.1, (one, other, differing)


def test_there_are_enough_people():
    """At least 8 outfits, 5 builds and 10 poses."""
    assert len(OUTFITS) >= 8 and len(BUILDS) >= 5 and len(POSES) >= 10


def test_words_of_a_person():
    """As the issue says them."""
    assert characters.describe(STUDENT) == "a person in a red shirt and blue trousers"
    assert characters.describe(OUTFITS["dancer"]) == "a person in a pink shirt and a cyan skirt"
    assert characters.describe(
        Outfit("orange", "orange", "skirt", "child", hat="cap", hat_color="orange")
    ) == ("a child in an orange shirt and an orange skirt with an orange hat")
    assert characters.describe_pose(POSES["waving"](0.3)) == "waving"


def test_parse_is_inverse_to_describe():
    """Any random person is named by words that parse to a person of the same words."""
    random = np.random.default_rng(1)
    for _ in range(200):
        outfit, pose = characters.random_outfit(random), characters.random_pose(random)
        words = f"{characters.describe(outfit)}, {characters.describe_pose(pose)}"
        parsed_outfit, parsed_pose = characters.parse(words)
        assert f"{characters.describe(parsed_outfit)}, {characters.describe_pose(parsed_pose)}" == words
    assert characters.parse("a person in a red shirt and blue trousers")[1].name == "standing"


def test_parse_says_what_it_knows():
    """The error holds an example, the colours and the poses."""
    with pytest.raises(
        UserError, match=r"'a person in a red hat' names no person .* red, orange, .* walking, running"
    ):
        characters.parse("a person in a red hat")


def test_outfit_says_what_it_may_be():
    """Field, value and possible values."""
    message = r"An outfit's garment cannot be 'kilt'. It is one of: trousers, shorts, skirt."
    with pytest.raises(ValueError, match=message):
        Outfit("red", "blue", "kilt")
    with pytest.raises(ValueError, match=r"shirt cannot be 'crimson'. It is one of: red, orange, "):
        Outfit("crimson", "blue")


def test_random_people_follow_from_the_seed():
    """Same seed, same people; shirt and lower garment never share a colour."""
    people = [[(characters.random_outfit(r), characters.random_pose(r)) for _ in range(30)]
              for r in (np.random.default_rng(5), np.random.default_rng(5))]  # fmt: skip
    assert people[0] == people[1]
    assert all(outfit.shirt != outfit.lower for outfit, _ in people[0])
