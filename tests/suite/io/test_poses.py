"""Files of poses: round trips, missing joints, several people, and files that hold none."""

import json

import pytest
import torch

from suite.errors import UserError
from suite.geometry.skeletons import COCO_17, COCO_18, Poses
from suite.io.poses import read_poses, write_poses
from suite.rng import generator

LIMBS = ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")


@pytest.fixture
def poses():
    """Three frames; the left wrist (joint 9) is missing in the second."""
    points = torch.rand(3, 17, 2, generator=generator(0, 0, "points")) * 60
    confidence = torch.full((3, 17), 0.875)
    confidence[1, 9] = 0
    points[1, 9] = 0
    return Poses(points, confidence, fps=12.0, size=(48, 64))


def test_coco_there_and_back(tmp_path, poses):
    """Pixels to a thousandth, missing joints, the size and the rate; confidence becomes visible or not."""
    write_poses(tmp_path / "a.json", poses)
    back = read_poses(tmp_path / "a.json")
    torch.testing.assert_close(back.points, poses.points, atol=1e-3, rtol=0)
    assert torch.equal(back.confidence, (poses.confidence > 0).float())
    assert back.fps == 12 and back.size == (48, 64) and back.names == COCO_17


def test_openpose_there_and_back(tmp_path, poses):
    """A file a frame, 18 joints with their confidence; the neck comes and goes; fewer frames leave no old ones."""
    write_poses(tmp_path / "a", Poses(poses.points.repeat(2, 1, 1), poses.confidence.repeat(2, 1)))
    write_poses(tmp_path / "a", poses)
    files = sorted((tmp_path / "a").iterdir())
    assert [path.name for path in files] == [f"{k:06d}_keypoints.json" for k in range(3)]
    assert len(json.loads(files[0].read_text())["people"][0]["pose_keypoints_2d"]) == 54
    back = read_poses(tmp_path / "a", fps=12)
    torch.testing.assert_close(back.points, poses.points, atol=1e-3, rtol=0)
    torch.testing.assert_close(back.confidence, poses.confidence)
    assert back.size == (48, 64) and back.fps == 12


def test_a_result_list_of_coco(tmp_path):
    """[x, y, score, ...] of several people an image: the surest one counts; names of images are in order."""
    low, high = [[1.0, 2.0, 0.1]] * 17, [[3.0, 4.0, 0.9]] * 17
    rows = [
        {"image_id": name, "keypoints": sum(person, [])}
        for name, person in (("b.png", low), ("a.png", high), ("b.png", high))
    ]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    back = read_poses(tmp_path / "a.json", fps=8)
    assert back.points.shape == (2, 17, 2) and back.fps == 8
    assert back.points[:, :, 0].unique().tolist() == [3.0]
    torch.testing.assert_close(back.confidence, torch.full((2, 17), 0.9))


def test_openpose_with_nobody_and_with_25_joints(tmp_path):
    """A frame without people is missing altogether; 25 joints become COCO's 17."""
    person = [x for k in range(25) for x in (float(k), 1.0, 0.5)]
    frames = [{"people": [{"pose_keypoints_2d": person}]}, {"people": []}]
    for k, frame in enumerate(frames):
        (tmp_path / f"{k}_keypoints.json").write_text(json.dumps(frame))
    back = read_poses(tmp_path)
    assert back.confidence[1].max() == 0 and back.confidence[0].min() == 0.5
    assert back.joint("left_hip")[0][0, 0] == 12 and back.joint("right_ear")[0][0, 0] == 17
    single = read_poses(tmp_path / "0_keypoints.json")
    assert torch.equal(single.points, back.points[:1])


def test_bvh_stands_up(tmp_path):
    """A body along +Y becomes one along +Z; its rate is the file's."""
    lines = ["HIERARCHY", "ROOT Hips", "{", "OFFSET 0 0 0", "CHANNELS 3 Xposition Yposition Zposition"]
    places = {"Head": (0, 9, 0)}
    for side, x in (("Left", 1), ("Right", -1)):
        places |= dict(zip((f"{side}{limb}" for limb in LIMBS), [(x, y, 0) for y in (8, 6, 4, 0, -4, -8)]))
    for name, place in places.items():
        lines += [f"JOINT {name}", "{", "OFFSET {} {} {}".format(*place), "CHANNELS 0", "}"]
    (tmp_path / "a.bvh").write_text(
        "\n".join([*lines, "}", "MOTION", "Frames: 1", "Frame Time: 0.04", "0 0 0"])
    )
    poses = read_poses(tmp_path / "a.bvh")
    assert poses.joint("left_ankle")[0][0].tolist() == [0, 1, -8]
    assert poses.joint("nose")[0][0, 0] > 0 and poses.fps == pytest.approx(25)


def test_a_drawn_character(tmp_path):
    """Animated Drawings: hands are wrists, feet ankles; eyes and ears are missing."""
    names = (
        "neck",
        *(
            f"{s}_{p}"
            for s in ("left", "right")
            for p in ("shoulder", "elbow", "hand", "hip", "knee", "foot")
        ),
    )
    rows = "".join(f"- loc: [{k}, {2 * k}]\n  name: {name}\n  parent: root\n" for k, name in enumerate(names))
    (tmp_path / "a.yaml").write_text(f"height: 60\nwidth: 50\nskeleton:\n{rows}")
    poses = read_poses(tmp_path / "a.yaml")
    assert poses.size == (60, 50) and poses.joint("left_wrist")[0].tolist() == [[3, 6]]
    assert poses.confidence.sum() == 13 and poses.joint("left_eye")[1].tolist() == [0]


def test_errors(tmp_path, poses):
    """Files that hold no poses, and poses that cannot be written: one line each."""
    cases = {
        "a.json": ("{", "a.json is not JSON, or cut short"),
        "b.json": ("{}", "b.json holds no poses: neither OpenPose's \"people\" nor COCO's"),
        "c.json": ("[]", "c.json holds no frame with a person"),
        "d.json": ('[{"image_id": 1}, {"keypoints": [1, 2]}]', "an annotation without image_id and keypoints"),
        "e.json": ('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', "people of 1 joints; OpenPose gives 18 or 25"),
        "f.json": ('[{"image_id": 1, "keypoints": [1, 2, 1]}]', "people of 1 joints, where 17 are wanted"),
        "g.yaml": ("height: 3", "no character of Animated Drawings: it needs skeleton, height and width"),
        "h.bvh": ("HIERARCHY\nROOT A\n{\nOFFSET 0 0 0\nCHANNELS 1 Xposition\n}\nMOTION\nFrames: 1\nFrame Time: 1\n0",
                  "h.bvh is not the motion of a person: The rig has no left shoulder"),
        "i.txt": ("", "Poses are read from .json, .bvh, .glb, .gltf, .yaml, or a folder of OpenPose"),
    }  # fmt: skip
    for name, (text, message) in cases.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match=message):
            read_poses(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no .json of OpenPose"):
        read_poses(tmp_path / "empty")
    (tmp_path / "empty" / "a.json").write_text("[]")
    with pytest.raises(UserError, match='a.json is not of OpenPose: it has no "people"'):
        read_poses(tmp_path / "empty")
    with pytest.raises(ValueError, match="a COCO .json or a folder of OpenPose .json, not 'a.txt'"):
        write_poses(tmp_path / "a.txt", poses)
    with pytest.raises(ValueError, match="Only poses in pixels are written"):
        write_poses(tmp_path / "a.json", Poses(torch.ones(1, 17, 3), torch.ones(1, 17)))
    assert len(COCO_18) == 18
