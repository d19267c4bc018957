"""Runs beside each other."""

import json

import pytest
from finished_runs import make_run

from suite.errors import UserError
from suite.lab.compare import Compare, Comparison, table


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    one = make_run(folder / "one-1", scale=10.0, chamfer=0.05)
    two = make_run(folder / "two-2", scale=30.0, extra=7)
    return [str(one), str(two)]


def test_rows_hold_what_differs_and_what_was_measured(runs):
    """Only the scale differs (the run directory does not count); a measure that one run lacks is absent there."""
    one, two = table(runs)
    assert one["guidance.scale"] == 10.0 and two["guidance.scale"] == 30.0
    assert "prompt.text" not in one and "seed" not in one and "out" not in one
    assert one["run"] == "one-1" and one["title"] == "a red <b>mushroom</b>" and one["task"] == "text_to_3d"
    assert one["kind_right"] == 0.9375 and one["chamfer"] == 0.05 and "chamfer" not in two
    assert one["evaluations"] == 160 and one["step_seconds"] == 0.15 and "views" not in one


def test_another_class_is_a_difference_by_its_name(tmp_path, runs):
    """Guidances of two classes: named by class, and the options of each."""
    other = make_run(tmp_path / "other")
    config = (other / "config.yaml").read_text().replace("sds.ScoreDistillation", "csd.ClassifierScore")
    (other / "config.yaml").write_text(config)
    first, second = table([runs[0], other])
    assert (first["guidance"], second["guidance"]) == ("ScoreDistillation", "ClassifierScore")


def test_equal_names_are_told_apart(tmp_path):
    paths = [make_run(tmp_path / folder / "same") for folder in ("a", "b")]
    assert Comparison.of(paths).names == ("a/same", "b/same")


def test_the_command_prints_a_table_and_leaves_a_page(runs, command):
    """`suite compare RUN RUN`: both columns on the screen; the page has two models and one viewer."""
    outcome = command(f"compare {runs[0]} {runs[1]}")
    assert outcome.status == 0, outcome.errors
    text = "\n".join(outcome.lines)
    assert "guidance.scale" in text and "chamfer" in text and "0.9375" in text
    page = (outcome.directory / "report.html").read_text()
    assert page.count("<model-viewer src=") == 2 and page.count('<script type="module">') == 1
    assert "a red &lt;b&gt;mushroom&lt;/b&gt;" in page and "<b>mushroom" not in page
    assert 'src="http' not in page
    rows = json.loads((outcome.directory / "report.json").read_text())["measures"]["runs"]
    assert [row["run"] for row in rows] == ["one-1", "two-2"]


def test_a_notebook_shows_the_table(runs):
    html = Comparison.of(runs)._repr_html_()
    assert "<table" in html and "guidance.scale" in html and "0.9375" in html


def test_what_is_no_finished_run_is_refused(runs, tmp_path):
    """Each with the way out."""
    (tmp_path / "empty").mkdir()
    unfinished = make_run(tmp_path / "sweep" / "unfinished")
    (unfinished / "complete.json").unlink()
    damaged = make_run(tmp_path / "damaged")
    (damaged / "report.json").write_text("{")
    for paths, message in [
        ([runs[0], tmp_path / "nowhere"], "There is no run directory .*nowhere"),
        ([runs[0], tmp_path / "empty"], "empty is not a run directory: it has no config.yaml"),
        ([runs[0], tmp_path / "sweep"], "Did you mean .*sweep/unfinished"),
        ([runs[0], unfinished], "is not finished: repeat its command to the end"),
        ([runs[0], damaged], "report.json is damaged"),
    ]:
        with pytest.raises(UserError, match=message):
            Compare(runs=[str(path) for path in paths])
    for few in ([], [runs[0]], runs[0]):
        with pytest.raises(UserError, match="at least two run directories: suite compare RUN RUN"):
            Compare(runs=few)
