"""The bench measures what it says, and holds DMTet at 64^3 to its bar."""

import json

import pytest

from nerf.bench_isosurface import BAR_MS, BenchIsosurface, lines
from suite.errors import UserError


def test_the_bench_runs(command):
    """Small: all times are there, positive, forward and backward make up the whole; faces are counted."""
    outcome = command("bench isosurface resolutions=[8] repeats=2 skip=0")
    assert outcome.status == 0
    report = json.loads((outcome.directory / "report.json").read_text())
    found = {k: v for k, v in report.get("measures", report).items() if "_8_" in k}
    for name in ("dmtet", "flexicubes"):
        parts = [found[f"{name}_8_{part}_ms"] for part in ("forward", "backward", "total", "wall")]
        assert min(parts) > 0 and max(parts[:2]) <= parts[2] * 1.001
        assert found[f"{name}_8_faces"] > 100


def test_the_bar():
    """At 64^3 the sum of forward and backward is held to 20 ms, on a CPU only."""
    keys = ("forward_ms", "backward_ms", "total_ms", "wall_ms", "faces")
    measures = {f"{name}_64_{key}": 19.0 for name in ("dmtet", "flexicubes") for key in keys}
    measures["marching_cubes_64_ms"] = 4.0
    assert BAR_MS == 20
    assert lines(measures, [64], on_cpu=True)[-1].endswith("19.0 ms (bar 20): pass")
    measures["dmtet_64_total_ms"] = 21.0
    assert lines(measures, [64], on_cpu=True)[-1].endswith("21.0 ms (bar 20): FAIL")
    assert "bar" not in " ".join(lines(measures, [64], on_cpu=False))


def test_bad_options_are_refused():
    """The error says what is possible."""
    with pytest.raises(
        UserError, match=r"resolutions >= 8, repeats >= 1 and skip >= 0, got resolutions=\[4\]"
    ):
        BenchIsosurface(resolutions=[4])
