"""Notebooks run from the first cell to the last, and what is committed of their results is whole and small."""

import importlib.util
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
FILES = sorted(NOTEBOOKS.glob("*.ipynb"))
SMALL = {  # what is asked of each here: a few steps of what it asks of itself
    "text_to_3d": {"STEPS": 8},
    "still_to_video": {"FRAMES": 4, "STEPS": 2},
    "compare_sds_and_csd": {
        "STEPS": 4,
        "PROMPTS": ["a red mushroom"],
        "RULES": {"sds": ["guidance=sds"], "csd": ["guidance=csd"]},
    },
}
KIB = 1024
each = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)

spec = importlib.util.spec_from_file_location("execute", NOTEBOOKS / "execute.py")
notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebooks)


@each
def test_it_runs(path, monkeypatch):
    """Every cell of a copy runs, in the order in which it is read, in an empty folder, with few steps."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = path.read_bytes()
    done = notebooks.execute(path, SMALL.get(path.stem))
    counts = [cell.execution_count for cell in done.cells if cell.cell_type == "code"]
    assert None not in counts and counts == sorted(counts)
    assert len(done.cells) == len(nbformat.read(path, as_version=4).cells)
    assert path.read_bytes() == before


@each
def test_its_results_are_committed_whole_and_small(path):
    """Every code cell has been executed in order, none failed, something is shown, all of it below 500 KiB."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs and not [output for output in outputs if output.output_type == "error"]
    assert path.stat().st_size < 500 * KIB
    assert not [o for o in outputs if o.output_type == "stream" and o.name == "stderr"], "warnings are shown"


def test_parameters_need_their_cell(tmp_path):
    """Values for a notebook without the tagged cell are refused rather than ignored."""
    path = tmp_path / "plain.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), path)
    with pytest.raises(ValueError, match='plain.ipynb has no cell with the tag "parameters" to set STEPS'):
        notebooks.execute(path, {"STEPS": 1})


def test_what_is_saved_does_not_depend_on_the_machine(tmp_path):
    """Kernel's version and times of execution are left out; outputs and tags stay."""
    cell = nbformat.v4.new_code_cell("x", metadata={"execution": {"shell": "2026"}, "tags": ["parameters"]})
    cell.outputs = [nbformat.v4.new_output("stream", text="y")]
    notebook = nbformat.v4.new_notebook(
        cells=[cell], metadata={"language_info": {"name": "python", "version": "3.11.7"}}
    )
    notebooks.save(notebook, tmp_path / "saved.ipynb")
    text = (tmp_path / "saved.ipynb").read_text()
    assert "3.11.7" not in text and "2026" not in text
    (kept,) = nbformat.read(tmp_path / "saved.ipynb", as_version=4).cells
    assert kept.metadata.tags == ["parameters"] and kept.outputs[0].text == "y"
