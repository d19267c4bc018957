"""The training of a memory of shapes: its step, its command."""

import json

import pytest
import torch

from priors.loading.zero123 import load_shape_memory
from priors.train.train_shape_memory import TrainShapeMemory
from priors.zero123 import load
from suite.errors import UserError
from suite.rng import generator
from suite.toyworld.objects import kinds
from suite.toyworld.view_pairs import HELD_OUT_KINDS

SMALL = dict(grid=16, batch=4, views=4, reuse=100, pool=1, widths=(8, 16, 16, 16), hidden=32, half=False)
KNOWN = (1.0, 0.0, 0.0, 0.0, 0.0)  # shares: only things whose shape is kept


def test_it_learns_what_it_sees():
    """Sixty steps on the same few things name them, and tell where they are seen from better than chance."""
    task = TrainShapeMemory(steps=60, shares=KNOWN, **SMALL)
    optimizer, losses = task.make_optimizer(), []
    for step in range(60):
        optimizer.zero_grad(set_to_none=True)
        loss = task.loss(0, generator(0, 0, "step"))
        loss.backward()
        optimizer.step()
        task.after_step(step)
        losses.append(float(loss.detach()))
    assert task.take_logged()["named"] > 0.9
    assert losses[-1] < 0.5 * losses[0]


def test_planes_are_learnt_from_what_is_like_no_shape():
    """Forty steps on the same hybrids: their planes of symmetry are less of a surprise, names are not asked for."""
    task = TrainShapeMemory(steps=40, shares=(0.0, 0.0, 0.0, 0.0, 1.0), **SMALL)
    optimizer, planes = task.make_optimizer(), []
    for _ in range(40):
        optimizer.zero_grad(set_to_none=True)
        task.loss(0, generator(0, 0, "step")).backward()
        optimizer.step()
        logged = task.take_logged()
        planes.append(logged["plane"])
    assert planes[-1] < 0.7 * planes[0] and logged["azimuth"] == 0


def test_it_knows_the_kinds_that_training_shows():
    shapes = TrainShapeMemory(**SMALL).learning.config.shapes
    assert set(shapes) == set(kinds()) - set(HELD_OUT_KINDS)


def test_the_commands_hand_it_on(command):
    """`train_shape_memory` leaves shape_memory/, which a volume and then a prior hold."""
    options = "grid=16 batch=4 views=2 reuse=2 pool=2 +widths=[8,16,16,16] +hidden=16 +half=false"
    done = command(f"train_shape_memory steps=2 {options} device=cpu")
    assert done.status == 0, done.errors
    measures = json.loads((done.directory / "report.json").read_text())["measures"]
    assert 0 <= measures["named_and_turned"] <= measures["named"] <= 1 and measures["megabytes"] < 1
    assert 0 <= measures["mirrored_held_out_kinds"] <= 1
    memory = load_shape_memory(done.directory)
    small = "batch=4 views=2 reuse=2 pool=2 +half=false network.widths=[8,16,16,16]"
    done = command(
        f"train_view_volume steps=2 patch=11 memory={done.directory} {small} device=cpu previews=1"
    )
    assert done.status == 0, done.errors
    volume = done.directory / "volume"
    options = "batch=4 views=2 +reuse=2 +pool=2 widths=[32,32] +half=false"
    done = command(f"train_novel_view steps=2 volume={volume} {options} device=cpu previews=1")
    assert done.status == 0, done.errors
    held = load(str(done.directory / "prior")).volume.memory
    assert torch.equal(held.packed, memory.packed) and held.config.shapes == memory.config.shapes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 40}, "multiple of 32"),
        ({"views": 1}, "views must be at least 2, got 1"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"rate": 0.0}, "rate must be positive, got 0"),
        ({"repaint": 2.0}, "repaint is a share from 0 to 1"),
    ],
)
def test_bad_options_say_what_to_type(options, message):
    with pytest.raises(ValueError, match=message):
        TrainShapeMemory(**options)


def test_a_folder_without_a_memory(tmp_path):
    with pytest.raises(
        UserError, match="has no folder shape_memory/. Give one that suite train_shape_memory"
    ):
        load_shape_memory(tmp_path)
