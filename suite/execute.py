"""From a composed configuration to a finished run, and from an error to an exit status."""

import errno
import logging
import shutil
import sys
import traceback
from pathlib import Path
from typing import Any

from suite.compose import resolved as as_plain_data
from suite.config import build, complete
from suite.errors import Diverged, UserError
from suite.options import locate, name_of, not_one_of, options_of
from suite.rng import global_randomness, reseed
from suite.run import Run
from suite.settings import Settings, run_directory
from suite.task import Optimization, Task

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to write there",
}


def execute(name: str, config: dict) -> Run:
    """Runs a task to its end, or finds that it is complete.

    Args:
        name: The task's name, for the run directory.
        config: Composed by `suite.compose`: the task's node with the settings among its keys.

    Returns: The finished run.
    """
    settings, node, resolved = resolve(config)
    run = Run(run_directory(name, resolved), task=name, config=resolved, settings=settings)
    new = not run.directory.exists()
    with run:
        if run.complete and not getattr(locate(node["_target_"]), "reruns", False):
            run.log.info(
                "This run is complete. Delete its directory, or type another out=DIR, to run it again."
            )
            return run
        try:
            task = build_task(node, settings, run)
        except BaseException:
            if new:  # nothing is lost: the run had not begun
                shutil.rmtree(run.directory, ignore_errors=True)
            raise
        run.begin()
        task.run(run)
        run.finish()
    return run


def resolve(config: dict) -> tuple[Settings, dict, dict]:
    """(the settings, the task's node, both together with every default spelled out)."""
    names = options_of(Settings)
    if "_target_" not in config:
        raise UserError("This configuration has no _target_: it is not a task.")
    target = locate(config["_target_"])
    options = options_of(target)
    for key in config:
        if key not in names and key not in options and key != "_target_":
            role = f"an option of {name_of(target)}"
            raise UserError(not_one_of(key, [*options, *names], role, "Its options are"))
    settings_node = {"_target_": "suite.settings.Settings"} | {k: v for k, v in config.items() if k in names}
    full = complete(settings_node)
    node = {key: value for key, value in config.items() if key not in names}
    shared = {key: full[key] for key in names if key in options}
    resolved = complete(node | shared) | full
    resolved["_target_"] = config["_target_"]
    return build(full), node, resolved


def build_task(node: dict, settings: Settings, run: Run) -> Task:
    """The task, its random initialization a function of the seed.

    Raises:
        UserError: What a constructor says of a bad value, a missing file or a missing package.
    """
    options = options_of(locate(node["_target_"]))
    shared = {key: getattr(settings, key) for key in options_of(Settings) if key in options}
    if "device" in shared:
        shared["device"] = run.device
    with global_randomness():
        reseed(settings.seed, 0, "init")
        try:
            task = build(node, **shared)
        except (ValueError, OSError, ImportError) as error:
            raise UserError(one_line(error)) from error
    if not isinstance(task, Task):
        raise UserError(f"{node['_target_']} is not a task: it must be a suite.task.Task.")
    if isinstance(task, Optimization) and task.steps < 1:
        raise UserError(f"steps must be at least 1, got {task.steps}.")
    return task


def execute_member(name: str, with_traceback: bool, config: Any) -> tuple[int, str]:
    """`execute` for one member of a sweep; its failure leaves the others alone. (Exit status, directory)."""
    show_log()
    try:
        run = execute(name, as_plain_data(config))
        return DONE, str(run.directory)
    except Exception as error:
        return report_error(error, with_traceback), ""


def report_error(error: BaseException, with_traceback: bool = False) -> int:
    """Says on stderr what went wrong, in one line if the user can do something about it; the exit status."""
    if with_traceback:
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        message, status = f"{one_line(error) or 'interrupted'}. The same command goes on.", INTERRUPTED
    elif isinstance(error, UserError):
        message, status = one_line(error), BAD_INPUT
    elif isinstance(error, Diverged):
        message, status = one_line(error), FAILED
    elif isinstance(error, OSError) and error.errno in DISK:
        where = f" ({error.filename})" if error.filename else ""
        message = (
            f"{DISK[error.errno]}{where}. Earlier checkpoints are kept: make room and repeat the command."
        )
        status = BAD_INPUT
    elif lacks_memory(error):
        message = (
            f"the memory is not enough ({one_line(error)[:120]}). Make what is asked for smaller: sizes in pixels, "
            "numbers of frames, views or a batch. Earlier checkpoints are kept."
        )
        status = BAD_INPUT
    else:
        if not with_traceback:
            traceback.print_exception(error)
        return FAILED
    print(f"suite: {message}", file=sys.stderr)
    return status


def lacks_memory(error: BaseException) -> bool:
    """Whether an allocation failed: numpy's, torch's on a CPU (a plain RuntimeError) or on a GPU."""
    said = str(error)
    signs = (
        "not enough memory",
        "can't allocate memory",
        "out of memory",
        "Storage size calculation overflowed",
    )
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in said for sign in signs)
    )


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def show_log() -> None:
    """Shows what the packages log on stderr, once."""
    logging.captureWarnings(True)
    for name in ("suite", "priors", "nerf", "video"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        if not any(isinstance(handler, _Console) for handler in logger.handlers):
            logger.addHandler(_Console())


class _Console(logging.StreamHandler):
    """stderr as it is at the moment of writing."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> object:
        return sys.stderr


def products(directory: Path) -> list[Path]:
    """What a user wants to open first: the report, meshes, videos."""
    found = [
        directory / "report.html",
        *sorted(directory.glob("meshes/*")),
        *sorted(directory.glob("videos/*")),
    ]
    return [path for path in found if path.is_file()]
