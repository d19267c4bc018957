"""Who imports whom, and what library code never does; read from the source, without importing it."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BELOW = {  # package -> the packages it may import
    "suite": {"suite"},
    "priors": {"suite", "priors"},
    "nerf": {"suite", "priors", "nerf"},
    "video": {"suite", "priors", "video"},
}
FILES = [path for package in BELOW for path in sorted((ROOT / package).rglob("*.py"))]
SEEDS = {"manual_seed", "manual_seed_all", "seed", "seed_all"}


def named(paths):
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


@functools.cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes(path, *kinds):
    return [node for node in ast.walk(tree(path)) if isinstance(node, kinds)]


def imported(tree_nodes):
    """Top-level package names of import statements."""
    for node in tree_nodes:
        if isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)


def on_import(path):
    """The import statements that run when the module is imported: those outside functions."""
    waiting = list(tree(path).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


@pytest.mark.parametrize("path", named(FILES))
def test_imports_point_one_way(path):
    """suite <- priors <- {nerf, video}; nerf and video do not know each other, not even inside functions."""
    package = path.relative_to(ROOT).parts[0]
    wrong = (set(imported(nodes(path, ast.Import, ast.ImportFrom))) & set(BELOW)) - BELOW[package]
    assert not wrong, f"{package} must not import {wrong}"


@pytest.mark.parametrize("path", named(p for p in FILES if p.name == "__init__.py"))
def test_init_files_are_docstrings(path):
    """The import path is the file path: an __init__.py holds a docstring and nothing else."""
    assert len(tree(path).body) == 1 and ast.get_docstring(tree(path))


@pytest.mark.parametrize("path", named(p for p in FILES if p.name != "__init__.py"))
def test_files_say_what_they_are(path):
    """Every module begins with a docstring, and annotations are evaluated (jaxtyping checks them)."""
    assert ast.get_docstring(tree(path)), "no docstring"
    assert "annotations" not in [a.name for n in nodes(path, ast.ImportFrom) for a in n.names]


@pytest.mark.parametrize("path", named(FILES))
def test_nothing_seeds_or_moves_behind_the_back(path):
    """Library code never seeds globally (but for suite/rng.py), never calls .cuda(), prints in the CLI only."""
    calls = [node.func for node in nodes(path, ast.Call)]
    texts = [ast.unparse(call) for call in calls]
    names = {call.attr for call in calls if isinstance(call, ast.Attribute)}
    name = path.relative_to(ROOT).as_posix()
    if name != "suite/rng.py":
        owners = ("torch", "torch.cuda", "random", "np.random", "numpy.random")
        assert not [
            text for text in texts if text in {f"{owner}.{seed}" for owner in owners for seed in SEEDS}
        ]
    assert "cuda" not in names, "use .to(device)"
    if name not in ("suite/__main__.py", "suite/execute.py"):
        assert "print" not in texts, "use logging"


@pytest.mark.parametrize("path", named(FILES))
def test_what_needs_system_libraries_is_imported_where_it_is_used(path):
    """open3d and decord need libraries of the system; no module needs them in order to be imported."""
    own = {path.stem.rpartition("_")[2]}  # hash_grid_triton.py is imported where triton is
    assert not set(imported(on_import(path))) & {"open3d", "decord", "triton", "gsplat", "xformers"} - own


def test_listing_the_tasks_is_fast():
    """`suite` without a task imports neither torch nor Hydra nor anything heavy."""
    code = "import sys; from suite.__main__ import main; main([]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"torch", "hydra", "numpy", "open3d", "diffusers", "transformers", "kornia", "numba", "scipy"}
    assert not heavy & set(done.stderr.split())
