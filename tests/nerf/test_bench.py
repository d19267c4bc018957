"""The benches: the fixed prompts, the arithmetic of bars and medians, runs that are kept, times that add up."""

import csv
import json
import math
import time
from pathlib import Path

import pytest
import yaml

from nerf.bench import PAIRS, BenchTextTo3D, compared
from nerf.bench_runs import Row, group_of, table
from nerf.bench_speed import BenchSpeed, Stopwatch, lines, split
from suite.compose import CONFIGS
from suite.errors import UserError

QUICK = (
    "prior=exact prior.size=16 cameras.height=12 cameras.width=12 renderer.samples=8 field=dense_grid "
    "field.resolutions=[8] regularizer=null"
)
RUNS = (
    f"{QUICK} steps=2 products.mesh.resolution=16 products.mesh.texture=0 products.frames=1 products.size=16"
)


BENCH = BenchTextTo3D(prompts=["a"])
summary, verdicts = BENCH.summary, BENCH.verdicts


def row(prompt="a", failure="", **measures):
    return Row(prompt, "seen", "nowhere", measures, failure)


def test_the_prompts_are_the_agreed_ones():
    """32 prompts: 8 compositions that training shows, 8 that it leaves out, 16 objects that are prepared."""
    prompts = yaml.safe_load((CONFIGS / "bench" / "text_to_3d.yaml").read_text())["prompts"]
    groups = [group_of(prompt) for prompt in prompts]
    assert len(set(prompts)) == 32
    assert [groups.count(name) for name in ("seen", "held out", "real")] == [8, 8, 16]
    with open(CONFIGS.parent / "suite" / "assets" / "objects" / "sweethome3d.csv", encoding="utf-8") as file:
        prepared = {line["caption"] for line in csv.DictReader(file) if line["keep"] == "yes"}
    real = {prompt.split(" ", 1)[1] for prompt, group in zip(prompts, groups) if group == "real"}
    assert real <= prepared


def test_bars_by_hand():
    """Of 8 judged prompts ceil(8 * 26 / 32) = 7 must be named in 3 views of 4; what failed counts as wrong."""
    rows = [row(named=0.75, chamfer=0.05) for _ in range(6)]
    rows += [row(named=0.5, chamfer=0.2), row(failure="diverged")]
    found = summary(rows)
    assert (found["prompts"], found["failed"], found["judged"], found["named_prompts"]) == (8, 1, 8, 6)
    assert found["median_chamfer"] == 0.05 and found["median_named"] == 0.75
    named, near = verdicts(rows)
    assert named.startswith("named right in at least 75% of the views: 6 of 8 prompts (bar 7): FAIL")
    assert near == "median Chamfer distance 0.0500 over 8 known shapes (bar 0.08): pass"
    rows[6] = row(named=1.0, chamfer=0.2)
    assert verdicts(rows)[0].endswith("7 of 8 prompts (bar 7): pass")


def test_what_made_no_mesh_is_infinitely_far():
    """One run of two without a mesh: the median is infinite; without a known shape nothing is said."""
    empty, near, unknown = row(faces=0, named=0.0), row(faces=9, chamfer=0.01), row(faces=9, named=1.0)
    assert empty.chamfer == math.inf and unknown.chamfer is None
    assert summary([empty, near])["median_chamfer"] == math.inf
    assert "FAIL" in verdicts([empty, near])[1]
    assert summary([near, unknown])["median_chamfer"] == 0.01
    said = verdicts([near, unknown])
    assert said[2] == "1 of 2 are not measured by judged: there was no judge"
    assert said[3].startswith("1 of 2 are not measured by shapes") and "objects=FOLDER" in said[3]


def test_the_table_is_markdown():
    """A header, a rule, a line a run, medians; infinity and missing numbers as signs."""
    lines = table(
        [row("a red car", named=0.875, chamfer=0.0421), row("a horse", failure="unknown"), row("x", faces=0)],
        BENCH.columns,
    )
    assert (
        len(lines) == 6 and len({line.count("|") for line in (lines[0], lines[1], lines[2], lines[5])}) == 1
    )
    assert "| a red car | seen | 0.875 |" in lines[2] and "| 0.042 |" in lines[2] and "–" in lines[2]
    assert "failed: unknown" in lines[3] and "∞" in lines[4] and lines[5].startswith("| **median**")


def test_a_bench_runs_goes_on_and_names_what_failed(command, monkeypatch):
    """A prompt and one that is unknown: a table; the same command keeps the run and tries the other one again."""
    line = f'bench text_to_3d "a blue car" "a unicorn" out=bench overrides="{RUNS}"'
    done = command(line)
    assert done.status == 0, done.errors
    report = json.loads(Path("bench/report.json").read_text())["measures"]
    assert (report["prompts"], report["failed"], len(report["runs"])) == (2, 1, 2)
    assert report["runs"][0]["prompt"] == "a blue car" and report["runs"][0]["chamfer"] is not None
    assert "names no object of toyworld" in report["runs"][1]["failure"]
    text = Path("bench/table.md").read_text()
    assert "| a blue car | seen |" in text and "steps=2" in text and "median Chamfer distance" in done.errors
    assert json.loads(Path("bench/table.json").read_text())["runs"][1]["prompt"] == "a unicorn"
    config = yaml.safe_load(Path("bench/a_blue_car/config.yaml").read_text())
    assert (config["seed"], config["steps"], config["prior"]["size"]) == (1, 2, 16)
    before = Path("bench/a_blue_car/report.json").stat().st_mtime_ns
    again = command(line)
    assert again.status == 0 and "This run is complete" in again.errors
    assert Path("bench/a_blue_car/report.json").stat().st_mtime_ns == before


@pytest.mark.usefixtures("open3d")
def test_two_stages_are_compared(command):
    """`setting` is handed on to every run: columns for the coarse mesh, and a line for each pair."""
    few = "refine.steps=2 refine.surface.resolution=16 refine.extractor.texture=0 refine.cameras.height=12"
    small = "refine.cameras.width=12 refine.extractor.faces=500"
    done = command(f'bench text_to_3d "a blue car" out=two setting=magic3d overrides="{RUNS} {few} {small}"')
    assert done.status == 0, done.errors
    text = Path("two/table.md").read_text()
    assert "setting=magic3d" in text and "coarse: Chamfer" in text and "coarse: named" in text
    measures = json.loads(Path("two/table.json").read_text())["runs"][0]
    assert {"sharpness", "coarse_sharpness", "coarse_mesh_named", "coarse_chamfer"} <= set(measures)
    assert measures["minutes"] > 0 and "median Chamfer distance of the coarse mesh" in text


def test_a_second_stage_by_hand():
    """Chamfer distance has to fall, the others have to rise, over what both are known for; shares by their means."""
    rows = [row(chamfer=0.02, coarse_chamfer=0.03, sharpness=0.5, coarse_sharpness=0.6), row(chamfer=9.0)]
    lower, sharper = verdicts_of_stages(rows)
    assert lower.endswith("coarse mesh 0.0300, of the fine one 0.0200, over 1 prompts: pass")
    assert sharper.startswith("median sharpness") and sharper.endswith("FAIL")
    shares = [row(named=x, coarse_mesh_named=1.0) for x in (1.0, 1.0, 0.7)]
    assert verdicts_of_stages(shares)[0].startswith(
        "mean share of views named right of the coarse mesh 1.0000, of the f"
    )
    assert "0.9000, over 3 prompts: FAIL" in verdicts_of_stages(shares)[0]
    alike = [row(named=1.0, coarse_mesh_named=1.0)]
    assert verdicts_of_stages(alike)[0].endswith("over 1 prompts: alike")


def verdicts_of_stages(rows):
    return [line for line in (compared(rows, *pair) for pair in PAIRS) if line]


def test_a_typo_is_found_before_anything_runs(command):
    """An override that text_to_3d does not have stops the bench at once, with what it has."""
    done = command('bench text_to_3d limit=2 out=bench overrides="stepz=3"')
    assert (
        done.status == 2
        and "'stepz' is not an option" in done.errors
        and "Did you mean 'steps'" in done.errors
    )
    assert not list(Path("bench").glob("*/config.yaml"))


def test_a_bench_of_which_nothing_ends_is_an_error(command):
    """Exit status 2, with the first reason."""
    done = command('bench text_to_3d "a unicorn" out=bench overrides="prior=exact"')
    assert (
        done.status == 2 and "None of the 1 runs ended. a unicorn: 'a unicorn' names no object" in done.errors
    )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"prompts": []}, "at least one"),
        ({"prompts": ["a cat", "a cat"]}, "different texts"),
        ({"prompts": ["a cat"], "limit": 0}, "limit must be at least 1"),
    ],
)
def test_options_are_checked(options, message):
    """Each mistake is answered with what is possible."""
    with pytest.raises(UserError, match=message):
        BenchTextTo3D(**options)
    with pytest.raises(UserError, match="prompts is a list"):
        BenchTextTo3D(prompts="a cat")
    with pytest.raises(UserError, match="steps >= 1 and skip >= 0"):
        BenchSpeed(steps=0)


def test_split_by_hand():
    """Medians of each part over three steps; other is what no part claims; a run of 600 steps by the mean."""
    laps = [
        {"step": 0.10, "render": 0.02, "prior": 0.04, "backward": 0.02, "optimizer": 0.01, "forward": 0.07},
        {"step": 0.12, "render": 0.03, "prior": 0.05, "backward": 0.02, "optimizer": 0.01},
        {"step": 0.20, "render": 0.04, "prior": 0.06, "backward": 0.02, "optimizer": 0.01, "occupancy": 0.05},
    ]
    found = split(laps, 600)
    assert found["step_ms"] == pytest.approx(120) and found["prior_ms"] == pytest.approx(50)
    assert found["step_over_prior"] == pytest.approx(2.4) and found["occupancy_ms"] == 0
    assert found["other_ms"] == pytest.approx(10)  # 10, 10, 20
    assert found["run_minutes"] == pytest.approx(0.14 * 600 / 60)
    said = "\n".join(lines(found | {"evaluations_per_step": 4, "peak_memory_mb": 5000.0}, on_cpu=True))
    assert "step / prior forward: 2.40 (bar 2.5, target 1.8): pass" in said
    assert "peak memory in MiB: 5000.00 (bar 4096): FAIL" in said and "evaluations a step: 4" in said
    assert "bar" not in "\n".join(lines(found | {"evaluations_per_step": 4}, on_cpu=False))


def test_a_stopwatch_adds_up():
    """Times of one name add up until the lap; answers and arguments pass through."""
    watch = Stopwatch("cpu")
    slow = watch.timed("slow", lambda x, *, y: time.sleep(0.01) or x + y)
    assert slow(1, y=2) + slow(3, y=4) == 10
    lap = watch.lap()
    assert 0.02 <= lap["slow"] < 0.5 and watch.lap() == {}


def test_speed_is_measured_where_it_is_spent(command):
    """Parts add up to the step; evaluations are those of the prior: 2 views, with and without the prompt."""
    done = command(f'bench speed steps=4 skip=2 out=speed overrides="{QUICK} guidance.scale=10"')
    assert done.status == 0, done.errors
    report = json.loads(Path("speed/report.json").read_text())
    measures = report["measures"]
    assert measures["evaluations_per_step"] == 4 and report["steps"] == 4 and report["peak_memory_mb"] > 50
    parts = ("render", "occupancy", "text", "encode", "prior", "other", "backward", "optimizer")
    assert all(measures[f"{name}_ms"] >= 0 for name in parts)
    assert sum(measures[f"{name}_ms"] for name in parts) == pytest.approx(measures["step_ms"], rel=0.5)
    assert measures["step_over_prior"] == pytest.approx(measures["step_ms"] / measures["prior_ms"])
    assert "step / prior forward" in done.errors
    short = command(f'bench speed steps=9 skip=9 out=short overrides="{QUICK} steps=10"')
    assert short.status == 2 and "The run has 10 steps, fewer than skip=9 and steps=9" in short.errors
