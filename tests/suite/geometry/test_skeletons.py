"""Poses: orders of joints, missing ones, rigs' names, and retargeting by the lengths of bones."""

import numpy as np
import pytest
import torch

from suite.geometry.retargeting import retargeted
from suite.geometry.skeletons import BODY_25, BONES, COCO_17, COCO_18, Poses, coco_of_rig, facing_ahead
from suite.rng import generator
from suite.toyworld.motions import PEOPLE
from suite.toyworld.poses import POSES
from suite.toyworld.skeletons import BUILDS, skeleton


def people(build: str, motion: str = "walking", frames: int = 6) -> Poses:
    """Someone of toyworld in space, on no ground."""
    places = [skeleton(BUILDS[build], PEOPLE[motion](k / frames)).joints for k in range(frames)]
    points = torch.tensor(np.array([[place[name] for name in COCO_17] for place in places])).float()
    return Poses(points, torch.ones(points.shape[:2]))


def lengths(poses: Poses) -> torch.Tensor:
    """Of the bones of the limbs, `f 8`."""
    limbs = [bone for bone in BONES if bone[0].split("_")[-1] in ("elbow", "wrist", "knee", "ankle")]
    return torch.stack([(poses.joint(a)[0] - poses.joint(b)[0]).norm(dim=-1) for a, b in limbs], 1)


def test_orders():
    """17, 18 and 25 joints, none twice; OpenPose's neck is second and its right side first."""
    assert [len(set(names)) for names in (COCO_17, COCO_18, BODY_25)] == [17, 18, 25]
    assert COCO_18[:3] == ("nose", "neck", "right_shoulder") and COCO_17[5] == "left_shoulder"
    assert BODY_25[8] == "pelvis" and BODY_25[-1] == "right_heel"


def test_neck_is_the_middle_of_the_shoulders():
    """17 to 18 joints and back loses nothing; the neck is missing with either shoulder."""
    points = torch.rand(4, 17, 2, generator=generator(0, 0, "p"))
    sure = torch.full((4, 17), 0.9)
    sure[1, 5], sure[2, 6] = 0.0, 0.4
    poses = Poses(points, sure)
    more = poses.selected(COCO_18)
    torch.testing.assert_close(more.points[0, 1], (points[0, 5] + points[0, 6]) / 2)
    torch.testing.assert_close(more.confidence[:, 1], torch.tensor([0.9, 0.0, 0.4, 0.9]))
    back = more.selected(COCO_17)
    assert torch.equal(back.points, points) and torch.equal(back.confidence, sure)
    assert float(poses.selected(("left_heel",)).confidence.max()) == 0


def test_scaled_to_another_picture():
    """Twice as wide, half as high."""
    poses = Poses(torch.tensor([[[10.0, 20.0]]]), torch.ones(1, 1), ("nose",), size=(40, 30))
    assert poses.scaled(20, 60).points.tolist() == [[[20.0, 10.0]]]
    with pytest.raises(ValueError, match="pixels of a picture of known size"):
        Poses(torch.ones(1, 1, 3), torch.ones(1, 1), ("nose",)).scaled(1, 1)


PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
MIXAMO = dict(zip(PARTS, ("Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot")))
KAYKIT = dict(zip(PARTS, ("upperarm", "lowerarm", "wrist", "upperleg", "lowerleg", "foot")))


@pytest.mark.parametrize(
    "call",
    [
        lambda side, part: f"mixamorig:{side}{MIXAMO[part]}",
        lambda side, part: f"{KAYKIT[part]}.{side[0].lower()}",
        lambda side, part: f"{side}{part.capitalize()}",
    ],
)
def test_names_of_rigs(call):
    """Mixamo's, KayKit's and CMU's names lead to the same joints; a collar bone is no shoulder."""
    names = ["Hips", "Head", *(call(side, part) for side in ("Left", "Right") for part in PARTS)]
    if "mixamorig" in names[-1]:
        names = ["mixamorig:LeftShoulder", *names]
    points = torch.rand(2, len(names), 3, generator=generator(0, 0, "rig"))
    poses = coco_of_rig(points, names, 12.0)
    for side in ("Left", "Right"):
        for part in PARTS:
            expected = points[:, names.index(call(side, part))]
            assert torch.equal(poses.joint(f"{side.lower()}_{part}")[0], expected)
    assert poses.fps == 12


def test_the_face_of_a_rig_looks_ahead():
    """Shoulders along y, head up: nose ahead (+X), left ear at +Y, eyes between them and above the nose."""
    names = ["Head", "Head_end", *(f"{s}{p.capitalize()}" for s in ("Left", "Right") for p in PARTS)]
    points = torch.zeros(1, len(names), 3)
    points[0, 0], points[0, 1] = torch.tensor([0, 0, 1.5]), torch.tensor([0, 0, 1.9])
    points[0, 2], points[0, 8] = torch.tensor([0, 0.2, 1.4]), torch.tensor([0, -0.2, 1.4])
    face = {name: coco_of_rig(points, names).joint(name)[0][0] for name in COCO_17[:5]}
    torch.testing.assert_close(face["nose"], torch.tensor([0.2, 0, 1.668]))
    torch.testing.assert_close(face["left_ear"], torch.tensor([0, 0.2, 1.668]))
    assert face["left_eye"][1] > 0 > face["right_eye"][1] and face["left_eye"][2] > face["nose"][2]


def test_facing_ahead():
    """Whoever looks along (0, 1) first is turned to look along +X; later turns stay."""
    walk = people("average")
    turn = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    aside = Poses(walk.points @ turn.T, walk.confidence)
    torch.testing.assert_close(facing_ahead(aside).points, facing_ahead(walk).points, atol=1e-5, rtol=0)
    across = facing_ahead(aside).points[0, 5] - facing_ahead(aside).points[0, 6]
    assert abs(float(across[0])) < 1e-5 < float(across[1])


def test_retargeting_in_space():
    """Lengths of the one, directions of the other: a tall walk of a child has exactly the child's limbs."""
    tall, child = people("tall"), people("child", frames=1)
    moved = retargeted(tall, child)
    torch.testing.assert_close(lengths(moved), lengths(child).expand(6, -1), atol=1e-5, rtol=1e-4)
    for a, b in (("left_elbow", "left_shoulder"), ("right_ankle", "right_knee")):
        old, new = (
            torch.nn.functional.normalize(p.joint(a)[0] - p.joint(b)[0], dim=-1) for p in (tall, moved)
        )
        torch.testing.assert_close(old, new, atol=1e-5, rtol=0)


def test_retargeting_to_oneself_changes_nothing():
    """With the first frame as the reference the motion stays, but for the ground: the lowest ankle of that frame."""
    walk = people("average")
    ground = [poses.points[:, 15:, 2].min() for poses in (walk, Poses(walk.points[:1], walk.confidence[:1]))]
    moved = retargeted(walk, walk)
    torch.testing.assert_close(moved.points[..., :2], walk.points[..., :2], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        moved.points[..., 2], walk.points[..., 2] + ground[1] - ground[0], atol=1e-5, rtol=0
    )


def test_the_height_of_the_pelvis_is_scaled():
    """Legs of 0.62 of the average: jumps are 0.62 as high above the ground."""
    average, child = people("average", "walking"), people("child", "walking", 1)
    rise = torch.linspace(0, 1, 6)[:, None, None] * torch.tensor([0.0, 0.0, 1.0])
    jump = Poses(average.points + rise, average.confidence)
    pelvis = retargeted(jump, child).joint("pelvis")[0][:, 2]
    torch.testing.assert_close(pelvis - pelvis[0], 0.62 * torch.linspace(0, 1, 6), atol=1e-4, rtol=0)


def test_retargeting_in_the_plane():
    """Seen from the front, bones of the reference are ratios of the longest ones; feet end on its ground."""

    def drawn(poses):
        return Poses(
            torch.stack([poses.points[..., 1], -poses.points[..., 2]], -1) * 50 + 40, poses.confidence
        )

    tall, short = drawn(people("tall", "dancing", 24)), drawn(people("short", "walking", 1))
    moved = retargeted(tall, short)
    ratio = lengths(moved) / lengths(tall)
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), atol=1e-3, rtol=1e-3)
    assert float(moved.points[:, 15:, 1].max()) == pytest.approx(
        float(short.points[0, 15:, 1].max()), abs=1.5
    )


def test_missing_joints_stay_missing():
    """A lost elbow is lost in the result, and the wrist beyond it still follows; a lost hip loses no frame."""
    walk, child = people("tall"), people("child", frames=1)
    sure = walk.confidence.clone()
    sure[2, 7] = 0  # left elbow
    sure[3, 11] = 0  # left hip, so the pelvis too
    moved = retargeted(Poses(walk.points, sure), child)
    whole = retargeted(walk, child)
    assert torch.equal(moved.confidence, sure)
    assert float((moved.points[2, 9] - whole.points[2, 9]).norm()) < 0.15
    assert float((moved.points[3, 12:] - whole.points[3, 12:]).norm(dim=-1).max()) < 0.1


def test_errors():
    """Shapes, dimensions, nothing in common, a rig without legs."""
    with pytest.raises(ValueError, match=r"Poses of 17 joints need points `f 17 d`"):
        Poses(torch.ones(2, 16, 2), torch.ones(2, 16))
    flat = Poses(torch.ones(1, 17, 2), torch.ones(1, 17))
    with pytest.raises(ValueError, match="both poses in the plane or both in space, got 3 and 2 dimensions"):
        retargeted(people("tall"), flat)
    with pytest.raises(ValueError, match="have no bone in common"):
        retargeted(flat, Poses(torch.ones(1, 17, 2), torch.zeros(1, 17)))
    with pytest.raises(
        ValueError, match="The rig has no left shoulder: none of its joints is called left . upperarm"
    ):
        coco_of_rig(torch.ones(1, 2, 3), ["Hips", "Tail"])
    assert set(POSES) > set(PEOPLE)
