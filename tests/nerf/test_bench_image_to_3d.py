"""The bench of pictures: the agreed objects, the arithmetic of bars, a run of two by command."""

import json
from pathlib import Path

import pytest
import yaml

from nerf.bench_image_to_3d import BenchImageTo3D
from nerf.bench_runs import Row
from suite.compose import CONFIGS
from suite.errors import UserError
from suite.toyworld.objects import parse
from suite.toyworld.view_pairs import SPLITS

BENCH = BenchImageTo3D(prompts=["a red car"])
RUNS = (
    "prior=exact_views prior.size=16 cameras.height=12 cameras.width=12 renderer.samples=8 field=dense_grid "
    "field.resolutions=[8] steps=2 products.mesh.resolution=16 products.mesh.texture=0 products.frames=1 "
    "products.size=16 views.size=16"
)


def row(failure="", **measures):
    return Row("a", "held out", "nowhere", measures, failure)


def test_the_pictures_are_of_held_out_things():
    """16 objects that no training shows: 12 compositions, 4 of kinds that are never shown."""
    prompts = yaml.safe_load((CONFIGS / "bench" / "image_to_3d.yaml").read_text())["prompts"]
    specs = [parse(prompt) for prompt in prompts]
    assert len(set(prompts)) == 16
    assert sum(SPLITS["held_out"](spec) for spec in specs) == 12
    assert sum(SPLITS["held_out_kinds"](spec) for spec in specs) == 4


def test_bars_by_hand():
    """Medians of three against the bars; a run that failed has infinite Chamfer and 0 dB."""
    rows = [
        row(chamfer=0.01, psnr_views=25.0, minutes=2.0),
        row(chamfer=0.06, psnr_views=20.0, minutes=6.0),
        row(failure="diverged"),
    ]
    near, alike, fast = BENCH.verdicts(rows)
    assert near == "median Chamfer distance 0.06 (bar 0.07): pass"
    assert alike == "median PSNR of new views 20 (bar 19): pass"
    assert fast == "slowest run 6.0 minutes (bar 5): FAIL"
    found = BENCH.summary(rows)
    assert (found["prompts"], found["failed"], found["median_psnr_views"]) == (3, 1, 20.0)
    assert "FAIL" in BENCH.verdicts([rows[0], rows[2], rows[2]])[0]


def test_places_are_taken_in_turn():
    """Azimuths and elevations repeat; the run is told both."""
    made = BenchImageTo3D(prompts=list("abc"), azimuth_deg=[10.0, 20.0], elevation_deg=[5.0])
    assert made.words("c") == ["scene=c", "elevation_deg=5", "picture.azimuth_deg=10"]
    with pytest.raises(UserError, match="need at least one number each"):
        BenchImageTo3D(prompts=["a"], azimuth_deg=[])


def test_a_bench_by_command(command):
    """One object: a table with its measures and verdicts, and the sheet of its views."""
    done = command(f'bench image_to_3d "a white car" out=bench overrides="{RUNS}"')
    assert done.status == 0, done.errors
    report = json.loads(Path("bench/report.json").read_text())["measures"]
    assert report["runs"][0]["psnr_views"] > 3 and report["runs"][0]["group"] == "held out"
    text = Path("bench/table.md").read_text()
    assert "| a white car | held out |" in text and "PSNR of new views" in text
    assert (Path("bench") / "images" / "beside_truth.png").exists()
