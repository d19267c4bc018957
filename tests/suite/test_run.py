"""The run directory: its name, its files, who may hold it."""

import json
import subprocess
import sys

import pytest
import yaml

from suite.checkpoints import Checkpoints
from suite.errors import UserError
from suite.run import Run, finite, read_metrics
from suite.settings import Settings, configuration_hash, run_directory, slug

CONFIG = {
    "_target_": "x.Y",
    "prompt": "a red mushroom",
    "scale": 3.0,
    "seed": 0,
    "device": "auto",
    "out": None,
}


def test_the_directory_is_named_after_prompt_and_configuration():
    """runs/<task>/<slug>-<hash>, or `out` where given."""
    digest = configuration_hash("t", CONFIG)
    assert str(run_directory("t", CONFIG)) == f"runs/t/a-red-mushroom-{digest}"
    assert str(run_directory("t", CONFIG | {"out": "here"})) == "here"


def test_the_hash_sees_what_matters_alone():
    """Another seed or option is another configuration; another device or save interval is not."""
    digest = configuration_hash("t", CONFIG)
    assert digest == configuration_hash("t", dict(reversed(CONFIG.items())))
    assert digest == configuration_hash("t", CONFIG | {"device": "cpu", "out": "x", "save_every": 1.0})
    others = [("u", CONFIG), ("t", CONFIG | {"seed": 1}), ("t", CONFIG | {"scale": 4.0})]
    assert len({digest, *(configuration_hash(*other) for other in others)}) == 4


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"prompt": "A Red. Mushroom, shiny!"}, "a-red-mushroom-shiny"),
        ({"prompt": {"_target_": "priors.prompts.Prompt", "text": "a car"}}, "a-car"),
        ({"image": "photos/My Cat.png"}, "my-cat"),
        ({"image": "cat.jpeg"}, "cat"),
        ({"prior": {"_target_": "priors.pocket.Pocket"}}, "pocket"),
        ({"prompt": "грибок"}, "run"),
        ({}, "run"),
        ({"prompt": "word " * 30}, "word-word-word-word-word-word-word-word"),
    ],
)
def test_slugs(config, expected):
    """A few plain words from the prompt, the file or the prior."""
    assert slug(config) == expected


def test_what_a_run_leaves(tmp_path):
    """config.yaml reads back as the configuration; metrics, log, report and completion mark are there."""
    with Run(tmp_path / "r", task="t", config=CONFIG) as run:
        run.log.info("hello")
        run.log_metrics(0, loss=float("inf"), stage="a")
        run.statistics["steps"] = 5
        run.write_report({"psnr": 30.0, "bad": float("nan")})
        assert run.path("images", "a.png").parent.is_dir() and not run.complete
        run.finish()
    assert yaml.safe_load((tmp_path / "r/config.yaml").read_text()) == CONFIG
    assert "hello" in (tmp_path / "r/log.txt").read_text()
    assert read_metrics(tmp_path / "r/metrics.jsonl") == [{"step": 0, "loss": None, "stage": "a"}]
    report = json.loads((tmp_path / "r/report.json").read_text())
    assert report["measures"] == {"psnr": 30.0, "bad": None} and report["steps"] == 5
    assert report["peak_memory_mb"] > 10 and report["environment"]["torch"]
    assert Run(tmp_path / "r").complete


def test_metrics_are_rewound(tmp_path):
    """On resuming at step n, lines of step n and later (of that stage) and a line cut short are dropped."""
    run = Run(tmp_path)
    for step in range(4):
        run.log_metrics(step, loss=1.0)
        run.log_metrics(step, loss=2.0, stage="fine")
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 4, "lo')
    run.rewind_metrics(2, "fine")
    run.rewind_metrics(3)
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [row["step"] for row in rows if "stage" in row] == [0, 1]
    assert [row["step"] for row in rows if "stage" not in row] == [0, 1, 2]


def test_a_directory_of_another_configuration_is_refused(tmp_path):
    """The first difference is named, and the way out."""
    with Run(tmp_path, task="t", config={"a": {"scale": 1.0}}):
        pass
    message = (
        r"holds a run of another configuration \(a.scale is 1.0 there and 2.0 here\). Choose another out=DIR"
    )
    with pytest.raises(UserError, match=message), Run(tmp_path, task="t", config={"a": {"scale": 2.0}}):
        pass


def test_one_process_at_a_time(tmp_path):
    """A directory that another process holds is refused, and free again when that one is gone."""
    hold = (
        "import fcntl; f = open('.lock', 'a+'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True); input()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", hold], cwd=tmp_path, **pipes) as holder:
        holder.stdout.readline()
        with pytest.raises(UserError, match="is being written by another process: wait for it or stop it"):
            Run(tmp_path).__enter__()
        holder.communicate(b"\n")
    with Run(tmp_path):
        pass


def test_a_directory_that_cannot_be_made(tmp_path):
    """One line that says why, and what to type."""
    (tmp_path / "file").write_text("")
    with pytest.raises(
        UserError, match=r"file/r cannot be written \(Not a directory\): type another out=DIR"
    ):
        Run(tmp_path / "file/r").__enter__()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed and previews must not be negative, got -1"),
        ({"device": "gpu"}, "device must be auto, cpu, cuda or cuda:N, got 'gpu'"),
        ({"save_every": "often"}, "save_every is a number of seconds, or steps as '100 steps', got 'often'"),
        ({"save_every": "0 steps"}, "save_every is a number of seconds"),
    ],
)
def test_settings_are_checked(options, message):
    """What every task understands is checked in one place."""
    with pytest.raises(UserError, match=message):
        Settings(**options)


def test_save_intervals():
    """Seconds, or steps."""
    assert Settings(save_every=30.0).save_interval == (30.0, 0)
    assert Settings(save_every="7 steps").save_interval == (float("inf"), 7)


def test_device(monkeypatch):
    """auto is CUDA where there is one; asking for CUDA without one says what to type."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Run("x").device == "cpu"
    with pytest.raises(UserError, match="device=cuda:1: this machine has no CUDA device. Type device=cpu"):
        _ = Run("x", settings=Settings(device="cuda:1")).device
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Run("x").device == "cuda"


def test_checkpoints_keep_the_last_two(tmp_path):
    """The newest two stay; the newest is loaded."""
    checkpoints = Checkpoints(folder=tmp_path, configuration="c")
    assert checkpoints.load() is None
    for step in (5, 10, 15):
        checkpoints.save(step, {"step": step})
    assert [path.stem for path in checkpoints.paths()] == ["step-00000010", "step-00000015"]
    assert checkpoints.load() == (15, {"step": 15})


def test_a_damaged_checkpoint_is_passed_over(tmp_path, caplog):
    """The one before it is loaded, with a warning; when all are damaged the error says what to do."""
    checkpoints = Checkpoints(folder=tmp_path, configuration="c")
    checkpoints.save(5, {"step": 5})
    checkpoints.save(10, {"step": 10}).write_bytes(b"\0" * 40)
    assert checkpoints.load() == (5, {"step": 5})
    assert "step-00000010.safetensors is damaged" in caplog.text
    checkpoints.paths()[0].write_bytes(b"")
    with pytest.raises(
        UserError, match="Every checkpoint in .* is damaged: delete the folder to start again"
    ):
        checkpoints.load()


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    """A checkpoint carries the hash of its configuration."""
    Checkpoints(folder=tmp_path, configuration="c").save(5, {})
    with pytest.raises(
        UserError, match="is a checkpoint of another configuration. Choose another out=DIR, or delete"
    ):
        Checkpoints(folder=tmp_path, configuration="d").load()


def test_finite():
    """What JSON cannot say becomes null, at any depth."""
    assert finite({"a": [1.0, float("nan")], 2: (float("inf"),)}) == {"a": [1.0, None], "2": [None]}
