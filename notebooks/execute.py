"""Executes the notebooks again and saves their outputs in place.

    python notebooks/execute.py               all of them
    python notebooks/execute.py text_to_3d    this one

Each runs in an empty folder of its own, which is removed afterwards. A cell with the tag "parameters" holds
what may be changed from outside: `execute(path, parameters={"STEPS": 20})`.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
TIMEOUT = 1200  # seconds a cell


def execute(path: Path, parameters: Mapping[str, Any] | None = None) -> nbformat.NotebookNode:
    """The notebook with the outputs of a fresh execution; the file stays as it is.

    Args:
        parameters: Values set after the cell with the tag "parameters".

    Raises:
        ValueError: Parameters are given to a notebook that has no such cell.
        nbclient.exceptions.CellExecutionError: A cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    given = list(notebook.cells)
    if parameters:
        tagged = [k for k, cell in enumerate(given) if "parameters" in cell.metadata.get("tags", ())]
        if not tagged:
            raise ValueError(
                f'{path.name} has no cell with the tag "parameters" to set {", ".join(parameters)}.'
            )
        lines = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
        notebook.cells.insert(tagged[0] + 1, nbformat.v4.new_code_cell(lines))
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=TIMEOUT,
            record_timing=False,
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    notebook.cells = [cell for cell in notebook.cells if any(cell is one for one in given)]
    return notebook


def save(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Writes it with nothing in its metadata that depends on the machine."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": cell.metadata.tags} if "tags" in cell.metadata else {})
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="notebooks, without .ipynb; by default all")
    names = parser.parse_args().names or sorted(path.stem for path in HERE.glob("*.ipynb"))
    for name in names:
        path, begun = HERE / f"{Path(name).stem}.ipynb", time.monotonic()
        save(execute(path), path)
        print(f"{path.name}: {time.monotonic() - begun:.0f} s, {path.stat().st_size // 1024} KiB", flush=True)


if __name__ == "__main__":
    main()
