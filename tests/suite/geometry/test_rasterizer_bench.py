"""`suite bench rasterizer`: it measures, says what it is held to, and refuses what it cannot measure."""

import json
from pathlib import Path

import pytest

from suite.errors import UserError
from suite.geometry.bench_rasterizer import BenchRasterizer, lines, torus


@pytest.mark.usefixtures("open3d")
def test_the_bench_reports_its_times(command):
    """Medians for each size, beside Open3D's, and their ratio."""
    done = command("bench rasterizer faces=200 sizes=[16,24] repeats=1 out=bench")
    assert done.status == 0, done.errors
    found = json.loads(Path("bench/report.json").read_text())["measures"]
    for size in (16, 24):
        assert found[f"forward_ms_{size}"] > 0
        assert found[f"ratio_{size}"] == pytest.approx(
            found[f"forward_backward_ms_{size}"] / found[f"open3d_ms_{size}"]
        )
    assert "16 px: forward and backward / Open3D" in done.errors


def test_the_bar_holds_at_its_size():
    """Twice Open3D's time at 256 pixels; other sizes and GPUs are shown only."""
    found = {"faces": 9, "forward_ms": 1.0, "forward_backward_ms": 4.0, "open3d_ms": 2.0, "ratio": 2.0}
    assert lines(256, found)[-1] == "256 px: forward and backward / Open3D 2.00 (bar 2): pass"
    assert lines(256, found | {"ratio": 2.1})[-1].endswith("(bar 2): FAIL")
    assert lines(512, found)[-1] == "512 px: forward and backward / Open3D 2.00"
    assert (
        len(lines(256, {name: found[name] for name in ("faces", "forward_ms", "forward_backward_ms")})) == 1
    )


def test_the_mesh_has_about_as_many_faces_as_asked():
    """Within a tenth."""
    for faces in (300, 50_000):
        assert len(torus(faces).faces) == pytest.approx(faces, rel=0.1)


def test_errors():
    """Sizes, faces and repeats that nothing can be measured with."""
    with pytest.raises(
        UserError, match="faces >= 100, sizes of 8 or more pixels and repeats >= 1, got faces=9"
    ):
        BenchRasterizer(faces=9)
