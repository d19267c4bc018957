"""The command line: suite TASK key=value ...

Exit status 0 done, 1 failed, 2 bad input, 130 interrupted. The last line on stdout is the run directory.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from suite.compose import Composer, tasks
from suite.errors import UserError
from suite.options import not_one_of

FLAGS = {
    "--help": "help",
    "-h": "help",
    "--multirun": "multirun",
    "-m": "multirun",
    "--config": "config",
    "--traceback": "traceback",
    "--version": "version",
}


@dataclass
class Command:
    """What was typed: the task, key=value words, other words, flags."""

    task: str = ""
    words: list[str] = field(default_factory=list)
    positional: list[str] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    folders: list[Path] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return _run(parse(arguments))
    except UserError as error:
        if "--traceback" in arguments:
            traceback.print_exc()
        print(f"suite: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        from suite.execute import report_error

        return report_error(error, "--traceback" in arguments)


def parse(arguments: Sequence[str]) -> Command:
    """Sorts the words of a command line.

    Raises:
        UserError: An unknown flag or task.
    """
    command, bare, arguments = Command(), [], list(arguments)
    while arguments:
        word = arguments.pop(0)
        if word == "--config-dir" and arguments:
            command.folders.append(_folder(arguments.pop(0)))
        elif word in FLAGS:
            command.flags.add(FLAGS[word])
        elif word.startswith("-"):
            raise UserError(not_one_of(word, [*FLAGS, "--config-dir DIR"], "a flag", "The flags are"))
        elif "=" in word or word.startswith("~"):
            command.words.append(word)
        else:
            bare.append(word)
    if bare:
        command.task, command.positional = _task(bare, tasks(command.folders))
    return command


def _run(command: Command) -> int:
    if "version" in command.flags:
        from importlib.metadata import version

        print(f"suite {version('suite3d')}")
    elif not command.task:
        from suite.help import overview

        if command.words:
            raise UserError(
                f"Which task? Type suite TASK {' '.join(command.words)}; suite alone lists the tasks."
            )
        print(overview(command.folders))
    else:
        with Composer(task=command.task, folders=command.folders) as composer:
            words = command.words + composer.positional(command.positional)
            return _run_task(composer, words, command.flags)
    return 0


def _run_task(composer: Composer, words: list[str], flags: set[str]) -> int:
    if "help" in flags:
        from suite.help import task_help

        print(task_help(composer, words))
        return 0
    if "config" in flags:
        import yaml

        from suite.execute import resolve

        print(yaml.safe_dump(resolve(composer.config(words))[2], sort_keys=False, allow_unicode=True), end="")
        return 0
    from suite.execute import execute, show_log

    show_log()
    if "multirun" in flags:
        return _sweep(composer, words, "traceback" in flags)
    directory = execute(composer.task, composer.config(words)).directory
    _print_ending(directory)
    return 0


def _sweep(composer: Composer, words: list[str], with_traceback: bool) -> int:
    from datetime import datetime
    from functools import partial

    from suite.execute import execute_member

    notes = f"runs/sweeps/{composer.task}-{datetime.now():%Y-%m-%d-%H-%M-%S}"
    members = composer.sweep(words, partial(execute_member, composer.task, with_traceback), notes)
    for _, directory in members:
        if directory:
            print(directory)
    return max(status for status, _ in members)


def _print_ending(directory: Path) -> None:
    from suite.execute import products
    from suite.help import ending

    if text := ending(directory, products(directory)):
        print(text)
    print(directory)


def _task(bare: list[str], known: dict[str, str]) -> tuple[str, list[str]]:
    """(the task that the first words name, the other words): `bench text_to_3d` is bench/text_to_3d."""
    for count in range(len(bare), 0, -1):
        name = "/".join(bare[:count])
        if name in known:
            return name, bare[count:]
    inside = [name for name in known if name.startswith(f"{bare[0]}/")]
    asked = "/".join(bare[:2]) if inside else bare[0]
    names = [name.replace("/", " ") for name in inside or known]
    raise UserError(not_one_of(asked.replace("/", " "), names, "a task", "The tasks are"))


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise UserError(f"--config-dir {text}: there is no such folder.")
    return Path(text)


if __name__ == "__main__":
    sys.exit(main())
