"""A run that is stopped and repeated equals the uninterrupted one, bit for bit, however it was stopped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from suite.run import read_metrics

TESTS = Path(__file__).parent


def final(directory):
    """Everything a finished toy run computed: weights and buffers, and the metrics but for times."""
    rows = read_metrics(directory / "metrics.jsonl")
    weights = torch.load(directory / "final.pt")
    return weights, [{key: value for key, value in row.items() if key != "step_seconds"} for row in rows]


def assert_same(a, b):
    (weights, rows), (other_weights, other_rows) = final(a), final(b)
    assert weights.keys() == other_weights.keys()
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)
    assert rows == other_rows


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_stopped_by_a_signal(command, name):
    """Ctrl-C and SIGTERM save, exit with 130 and say how to go on; the same command does."""
    line = f"wander prompt=x signal_at=13 signal={name}"
    stopped = command(line)
    assert stopped.status == 130
    assert "suite: stopped after step 14 of 40, saved in runs/wander/x-" in stopped.errors
    assert stopped.errors.rstrip().endswith("The same command goes on.")
    resumed, whole = command(line), command("wander prompt=x out=whole")
    assert resumed.status == whole.status == 0 and "Going on after step 14 of 40." in resumed.errors
    assert_same(resumed.directory, whole.directory)


def test_a_damaged_checkpoint_costs_steps_not_the_run(command):
    """The newest checkpoint is damaged: the one before is taken, and the end is the same."""
    line = "wander prompt=x signal_at=13 save_every='5 steps'"
    command(line)
    (folder,) = Path("runs/wander").glob("x-*/checkpoints")
    newest = sorted(folder.iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-9])
    resumed = command(line)
    assert "is damaged" in resumed.errors and "Going on after step 10 of 40." in resumed.errors
    assert resumed.status == 130  # it comes past step 13 again
    resumed, whole = command(line), command("wander prompt=x out=whole")
    assert_same(resumed.directory, whole.directory)


def test_only_damaged_checkpoints(command):
    """When nothing can be read the error says what to do, and nothing is deleted."""
    line = "wander prompt=x signal_at=3"
    command(line)
    (path,) = Path("runs/wander").glob("x-*/checkpoints/*.safetensors")
    path.write_bytes(b"")
    outcome = command(line)
    assert outcome.status == 2 and "delete the folder to start again" in outcome.errors and path.exists()


def test_a_finished_run_is_found_complete(command):
    """The same command again computes nothing and prints the same directory."""
    first, second = command("wander prompt=x steps=3"), command("wander prompt=x steps=3")
    assert first.directory == second.directory and second.status == 0
    assert "This run is complete" in second.errors and "step 3" not in second.errors


def test_interrupted_while_finishing(command, monkeypatch):
    """All steps are done but the products failed: repeating makes the products without another step."""
    import wander

    finish = wander.Wander.finish
    monkeypatch.setattr(wander.Wander, "finish", lambda self, run: 1 / 0)
    assert command("wander prompt=x").status == 1
    monkeypatch.setattr(wander.Wander, "finish", finish)
    again, whole = command("wander prompt=x"), command("wander prompt=x out=whole")
    assert "Going on after step 40 of 40" in again.errors and "s/step" not in again.errors
    assert_same(again.directory, whole.directory)


def test_a_full_disk_loses_nothing(command):
    """No space for a checkpoint: one line, status 2, the older checkpoint stays."""
    outcome = command("wander prompt=x save_every='2 steps' full_at=6")
    assert outcome.status == 2
    assert "suite: the disk is full. Earlier checkpoints are kept: make room and repeat" in outcome.errors
    (folder,) = Path("runs/wander").glob("x-*/checkpoints")
    assert sorted(path.name for path in folder.iterdir())[-1] == "step-00000006.safetensors"


def test_killed_at_random_moments(tmp_path):
    """SIGKILL at random moments, a checkpoint after every second step: the end is that of no kill."""
    configs = ["--config-dir", str(TESTS / "configs")]
    line = [*configs, "wander", "prompt=killed", "steps=100", "save_every=2 steps"]
    environment = os.environ | {"PYTHONPATH": str(TESTS / "toys"), "OMP_NUM_THREADS": "1"}

    def run(kills, directory):
        words = [sys.executable, str(TESTS / "toys/kill.py"), str(kills), directory, *line]
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return tuple(map(int, done.stdout.split()))

    assert run(0, "whole") == (0, 0)
    status, killed = run(9, "killed")
    assert status == 0 and killed >= 6
    assert_same(tmp_path / "whole", tmp_path / "killed")
    assert not list((tmp_path / "killed").rglob("*.part")), "a kill left half a file behind for good"
