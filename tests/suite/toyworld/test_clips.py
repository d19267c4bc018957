"""Clips: optical flow against closed forms and against the pictures themselves, joints against masks, splits."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from suite.rng import generator
from suite.toyworld.actors import acted
from suite.toyworld.clips import Clips
from suite.toyworld.motions import CAMERA_MOTIONS, CLIP_MOTIONS, MOTIONS, PEOPLE_MOTIONS, held_out_motion
from suite.toyworld.objects import held_out, parse
from suite.toyworld.outfits import OUTFITS
from suite.toyworld.pool import Pool
from suite.toyworld.poses import POSES
from suite.toyworld.render import Lights, render

FOCAL = 32 / np.tan(np.deg2rad(20))  # of 64 pixels and 40 degrees


def flat(take):
    """The same take, lit from nowhere: a point of a surface keeps its colour."""
    ones = np.ones(len(take.cameras), np.float32)
    return replace(take, lights=Lights(take.lights.directions, ones, 0 * ones))


def warped(frames: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Frame t+1 where the flow of frame t points: bilinear, `f h w 3`."""
    h, w = flow.shape[1:3]
    y, x = np.meshgrid(np.arange(h), np.arange(w), indexing="ij")
    places = np.stack([2 * (x + flow[..., 0] + 0.5) / w - 1, 2 * (y + flow[..., 1] + 0.5) / h - 1], -1)
    images = torch.from_numpy(frames[1:]).movedim(-1, 1)
    out = torch.nn.functional.grid_sample(
        images, torch.from_numpy(places).float(), align_corners=False, padding_mode="border"
    )
    return out.movedim(1, -1).numpy()


def only(motion: str, seed: int = 0, **options):
    """A take of one motion, and its label."""
    return Clips(motions=(motion,), frames=5, split="all", **options).takes(1, seed, 0)[0]


def test_a_batch_follows_from_seed_and_number():
    """The same arguments give the same clips, and others give others; RGB in [0, 1]."""
    clips = Clips(frames=3, size=32)
    one, same, other = clips.batch(2, 0, 1), Clips(frames=3, size=32).batch(2, 0, 1), clips.batch(2, 0, 2)
    assert one.frames.shape == (2, 3, 32, 32, 3) and one.frames.dtype == np.float32
    assert np.array_equal(one.frames, same.frames) and one.labels == same.labels
    assert not np.array_equal(one.frames, other.frames)
    assert one.frames.min() >= 0 and one.frames.max() <= 1


@pytest.mark.parametrize("motion", ["sliding left", "growing", "rolling", "spinning", "orbiting", "tilting up",
                                    "zooming out", "waving", "bowing"])  # fmt: skip
def test_warping_back_by_the_flow_gives_the_frame(motion):
    """Where a point stays visible, the next frame at its new place has its colour; without the flow it has not."""
    for seed in range(2):
        take = flat(replace(only(motion, seed)[0], size=128))
        frames, truth = take.frames(), take.truth()
        error = np.abs(warped(frames, truth.flow) - frames[:-1]).mean(-1)
        unmoved = np.abs(frames[1:] - frames[:-1]).mean(-1)
        assert error[truth.visible].mean() < 0.012
        moving = np.linalg.norm(truth.flow, axis=-1) > 1.0
        kept = truth.visible & moving
        if kept.sum() > 500:
            assert error[kept].mean() < 0.6 * unmoved[kept].mean()


def test_flow_of_a_pan_is_constant_per_depth():
    """A camera that steps to the left by d moves what is at depth Z by F d / Z to the right, backdrop and all."""
    take, _ = only("panning left")
    truth = take.truth()
    step = np.linalg.norm(take.cameras[1, :3, 3] - take.cameras[0, :3, 3])
    assert (truth.depth > 0).all() and len(np.unique(truth.masks)) == 2
    np.testing.assert_allclose(truth.flow[..., 0], FOCAL * step / truth.depth[:-1], rtol=1e-4)
    np.testing.assert_allclose(truth.flow[..., 1], 0, atol=1e-4)


def test_flow_of_a_zoom_is_radial():
    """A focal length times s moves the pixel p to c + s (p - c), whatever its depth."""
    take, _ = only("zooming in")
    truth = take.truth()
    scale = np.tan(np.deg2rad(take.fov_deg[0] / 2)) / np.tan(np.deg2rad(take.fov_deg[1] / 2))
    y, x = np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5, indexing="ij")
    expected = (scale - 1) * (np.stack([x, y], -1) - 32)
    np.testing.assert_allclose(truth.flow[0], expected, atol=1e-3)


def test_flow_of_a_tilt_does_not_know_depth():
    """The pixel of direction (u, v, -1) is seen, after a turn by a, at (u, v cos a - sin a) / (cos a + v sin a)."""
    take, _ = only("tilting up")
    turn = take.cameras[0, :3, :3].T @ take.cameras[1, :3, :3]
    a = np.arcsin(turn[2, 1])
    y, x = np.meshgrid(np.arange(64) + 0.5 - 32, np.arange(64) + 0.5 - 32, indexing="ij")
    u, v = x / FOCAL, -y / FOCAL
    depth = np.cos(a) - v * np.sin(a) * -1
    expected = np.stack([FOCAL * u / depth, -FOCAL * (v * np.cos(a) - np.sin(a)) / depth], -1)
    np.testing.assert_allclose(take.truth().flow[0], expected - np.stack([x, y], -1), atol=1e-3)


def test_a_thing_that_slides_leaves_the_backdrop_still():
    """What is at depth Z moves by F d / Z to the left; the backdrop does not move."""
    take, _ = only("sliding left", backdrops=1.0, shares=(1, 0, 0))
    truth = take.truth()
    masks = truth.masks[:-1]
    assert np.abs(truth.flow[~masks]).max() < 1e-6
    steps = -truth.flow[..., 0] * truth.depth[:-1] / FOCAL
    np.testing.assert_allclose(steps[masks], steps[masks][0], rtol=1e-3)
    assert 0.5 * 0.7 / 4 <= steps[masks][0] <= 0.5 / 4


def test_depth_and_mask_are_those_of_the_renderer():
    """Where a pixel is covered altogether, depths agree to what a pixel spans."""
    take, _ = only("spinning")
    truth = take.truth()
    drawn = render(take.surfaces[0], take.cameras, take.fov_deg, supersample=1)
    assert np.array_equal(drawn.masks > 0, truth.masks)
    np.testing.assert_allclose(truth.depth[truth.masks], drawn.depth[truth.masks], atol=1e-3)


def test_what_grows_is_shaded_as_what_is_small():
    """A camera scaled by 1/s sees what an ordinary one sees of the surface scaled by s, shading and all."""
    take, _ = Clips(motions=("growing",), frames=2, split="all", backdrops=0.0, shares=(1, 0, 0)).takes(
        1, 2, 0
    )[0]
    surface, camera = replace(take.surfaces[0], pattern="plain"), take.cameras[0].copy()
    factor = 1 / np.linalg.norm(camera[:3, 0])
    assert factor < 0.7
    camera[:3] *= factor
    small = replace(surface, vertices=(surface.vertices * factor).astype(np.float32))
    grown = replace(take, surfaces=(surface,)).frames()[0]
    expected = replace(take, surfaces=(small,), cameras=np.stack([camera] * 2)).frames()[0]
    assert (np.abs(grown - expected).max(-1) > 0.02).mean() < 0.002


@pytest.mark.parametrize("motion", PEOPLE_MOTIONS)
def test_joints_project_into_the_body(motion):
    """Every joint that is inside the picture lies on the body's mask; the nose is hidden from behind, seen in front."""
    take, label = Clips(motions=(motion,), frames=3, size=128, split="all").takes(1, 1, 0)[0]
    truth = take.truth()
    assert label.source == "person" and truth.joints.shape == (3, 17, 3)
    for mask, joints in zip(truth.masks, truth.joints):
        inside = joints[joints[:, 2] > 0]
        assert len(inside) >= 15
        column, row = np.floor(inside[:, :2]).astype(int).T
        assert mask[row, column].mean() >= 0.9


def test_a_nose_is_seen_from_the_front_only():
    """Visibility 2 from azimuth 0, and 1 from behind; 0 where the joint is outside the picture."""
    take, _ = Clips(motions=("waving",), frames=2, split="all").takes(1, 0, 0)[0]
    seen = []
    for x, looks in ((1.8, 1), (-1.8, -1)):
        camera = np.array([[0, 0, looks, x], [looks, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
        seen.append(replace(take, cameras=np.stack([camera] * 2)).truth().joints[0, 0, 2])
    far = camera.copy()
    far[:3, 3] += [0, 5, 0]
    seen.append(replace(take, cameras=np.stack([far] * 2)).truth().joints[0, 0, 2])
    assert seen == [2, 1, 0]


def test_people_keep_their_size_and_ground():
    """While someone raises an arm or walks, the head keeps its size, and the lowest point of a frame its height."""
    surfaces, joints = acted(OUTFITS["student"], [POSES["walking"](phase) for phase in (0, 0.2, 0.4, 0.6)])
    ears = np.linalg.norm(joints[:, 3] - joints[:, 4], axis=1)
    np.testing.assert_allclose(ears, ears[0], rtol=1e-6)
    np.testing.assert_allclose(
        [s.vertices[:, 2].min() for s in surfaces], surfaces[0].vertices[:, 2].min(), atol=1e-6
    )
    box = np.array([s.vertices.max(0) for s in surfaces]).max(0) - np.array(
        [s.vertices.min(0) for s in surfaces]
    ).min(0)
    assert box.max() == pytest.approx(1, abs=1e-6)
    with pytest.raises(ValueError, match="need the same parts: a stool in all of them, or in none"):
        acted(OUTFITS["student"], [POSES["sitting"](0), POSES["standing"](0)])


def test_splits():
    """Training shows neither held-out pairs nor held-out compositions; "held_out" shows held-out pairs only."""
    motions = (*MOTIONS, *CAMERA_MOTIONS)
    for split in ("train", "held_out"):
        labels = [
            label for _, label in Clips(motions=motions, split=split, shares=(1, 0, 0.1)).takes(60, 0, 0)
        ]
        assert {held_out_motion(label.name, label.motion) for label in labels} == {split == "held_out"}
    spec = parse("a red car")
    assert any(held_out(replace(spec, color=color)) for color in ("red", "orange", "yellow", "green", "blue", "black",
               "cyan", "purple", "pink", "brown", "white", "grey"))  # fmt: skip
    shown = {(label.name, label.color) for label in labels if label.color}
    assert not any(held_out(replace(spec, kind=kind, color=color)) for kind, color in shown)


def test_captions_say_the_motion():
    """Every caption has the word of its motion; views are said of what has one."""
    labels = [label for _, label in Clips(motions=(*MOTIONS, *CAMERA_MOTIONS), frames=2).takes(80, 0, 1)]
    assert all(f", {label.motion}" in label.caption for label in labels)
    assert {label.view == "" for label in labels if label.motion in ("spinning", "orbiting")} == {True}
    assert 5 < sum("view" in label.caption for label in labels) < 60
    assert len({label.motion for label in labels}) > 12


def test_a_pool_of_clips():
    """A pool draws clips `b f 3 h w` in [0, 1]."""
    pool = Pool(Clips(size=16, frames=3, motions=MOTIONS), batch=2, reuse=2, size=2, seed=0)
    frames, labels = pool.draw(1, generator(0, 1, "step"))
    assert frames.shape == (2, 3, 3, 16, 16) and len(labels) == 2
    assert 0 <= frames.min() and frames.max() <= 1


def test_errors_say_what_is_possible():
    """Splits, motions, lengths; people do not spin; the motions are listed."""
    with pytest.raises(ValueError, match="A split is train, held_out or all, got 'test'"):
        Clips(split="test")
    with pytest.raises(ValueError, match=r"The motions of clips are sliding left, .*kneeling; got 'flying'"):
        Clips(motions=("flying",))
    with pytest.raises(ValueError, match="got none"):
        Clips(motions=())
    with pytest.raises(ValueError, match="at least one frame and one pixel, got frames=0, size=64"):
        Clips(frames=0)
    with pytest.raises(ValueError, match=r"Nothing that shares=\(0, 0, 1\) allows has the motions spinning"):
        Clips(shares=(0, 0, 1), motions=("spinning",))
    clips = Clips(motions=("spinning",), shares=(1, 0, 0), split="held_out")
    clips.specs = {
        kind: specs for kind, specs in clips.specs.items() if not held_out_motion(kind, "spinning")
    }
    with pytest.raises(ValueError, match="Found no held_out pair of a thing and spinning"):
        clips.takes(1, 0, 0)
    assert len(CLIP_MOTIONS) == 26


def test_motions_named_twice_come_twice_as_often():
    labels = [
        label for _, label in Clips(frames=2, motions=("rising", "falling", "falling")).takes(300, 0, 0)
    ]
    assert abs(np.mean([label.motion == "falling" for label in labels]) - 2 / 3) < 0.08


def test_from_rest_all_clips_of_a_motion_to_and_fro_begin_alike():
    """Wobbling begins upright; without from_rest it begins anywhere."""
    for from_rest in (False, True):
        takes = Clips(frames=3, motions=("wobbling",), shares=(1, 0, 0), from_rest=from_rest).takes(12, 0, 0)
        first_right = np.array([take.cameras[0, 2, 0] for take, _ in takes])  # its height: sine of the roll
        rolls = np.rad2deg(np.arcsin(first_right))
        assert np.allclose(rolls, 0, atol=1e-6) == from_rest and (from_rest or np.ptp(rolls) > 20)


def test_twins_differ_in_their_motion_alone():
    """One thing, background, light and camera; two motions that the split has, of the thing or of the camera both."""
    for one, two in zip(*[iter(Clips(frames=4, twins=True).takes(40, 0, 0))] * 2):
        (take, label), (other, its) = one, two
        assert (label.name, label.color, label.pattern) == (its.name, its.color, its.pattern)
        assert label.motion != its.motion
        assert (label.motion in CAMERA_MOTIONS) == (its.motion in CAMERA_MOTIONS)
        assert not held_out_motion(label.name, label.motion) and not held_out_motion(its.name, its.motion)
        assert np.array_equal(take.background, other.background)
        assert np.array_equal(take.lights.ambient, other.lights.ambient)
    with pytest.raises(ValueError, match="Twins come in pairs: an even number of them, got 3"):
        Clips(twins=True).takes(3, 0, 0)
