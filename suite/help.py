"""What `suite`, `suite TASK --help` and the end of a run print."""

import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from suite.compose import CONFIGS, Composer, comment, tasks
from suite.options import REQUIRED, Option, locate, options_of
from suite.settings import Settings


def overview(folders: Sequence[Path] = ()) -> str:
    """The list of tasks."""
    found = tasks(folders)
    width = max((len(name) for name in found), default=0)
    lines = [f"  {name.replace('/', ' '):{width}}  {doc}" for name, doc in found.items()]
    return "\n".join(
        [
            "suite TASK key=value ...",
            "",
            "Tasks:",
            *lines,
            "",
            "  suite TASK --help      a task's options (with group=name words: of those choices)",
            "  suite TASK --config    the composed configuration, without running it",
            "  suite TASK -m a=1,2    a sweep: every combination, each in its own run directory",
            "  --config-dir DIR       more configurations    --traceback   where an error comes from",
        ]
    )


def task_help(composer: Composer, words: Sequence[str]) -> str:
    """The options of a task with types, values and docs, and the choices of its groups."""
    config, groups = composer.unresolved(words), composer.groups
    lines = [
        f"suite {composer.task.replace('/', ' ')} key=value ...",
        "",
        *_comment(composer),
        "",
        "Options:",
    ]
    own = {key: value for key, value in config.items() if key not in options_of(Settings)}
    lines += _rows(own, "", groups)
    lines += ["", "Every task:"]
    for option in options_of(Settings).values():
        lines += _row(option.name, option, config.get(option.name, option.default), "")
    return "\n".join(lines)


def ending(directory: Path, products: Sequence[Path]) -> str:
    """The measures of a finished run as a table, and where its products lie."""
    lines = []
    report = directory / "report.json"
    if report.exists():
        measures = json.loads(report.read_text(encoding="utf-8")).get("measures", {})
        numbers = {name: value for name, value in measures.items() if isinstance(value, int | float | str)}
        width = max(map(len, numbers), default=0)
        lines += [f"  {name:{width}}  {_number(value)}" for name, value in numbers.items()]
    lines += [f"  {path}" for path in products]
    return "\n".join(lines)


def _comment(composer: Composer) -> list[str]:
    """The comment at the top of the task's YAML."""
    for folder in (*composer.folders, CONFIGS):
        path = folder / f"{composer.task}.yaml"
        if path.exists():
            return comment(path.read_text(encoding="utf-8"))
    return []


def _rows(node: dict, prefix: str, groups: dict[str, list[str]]) -> Iterator[str]:
    """One option a row, needed ones first; objects are followed by theirs."""
    options = options_of(locate(node["_target_"])) if "_target_" in node else {}
    names = sorted(options, key=lambda name: options[name].default is not REQUIRED)
    for name in [*names, *(key for key in node if key not in options and key != "_target_")]:
        option = options.get(name, Option(name, REQUIRED, REQUIRED, ""))
        if name in options_of(Settings) and not prefix:
            continue
        key = f"{prefix}{name}"
        value = node.get(name, option.default)
        choices = f"choices: {', '.join(groups[key])}" if key in groups else ""
        if isinstance(value, dict) and value:
            label = value.get("_target_", "")
            yield from _row(key, option, label.rpartition(".")[2], choices)
            yield from _rows(value, f"{key}.", groups)
        else:
            yield from _row(key, option, value, choices)


def _row(key: str, option: Option, value: object, choices: str) -> Iterator[str]:
    shown = "needed" if value is REQUIRED or value == "???" else "null" if value is None else str(value)
    kind = f"  ({option.type_name})" if option.type_name else ""
    yield f"  {key} = {shown}{kind}"
    width = max(60, min(110, shutil.get_terminal_size().columns))
    for text in filter(None, (option.doc, choices)):
        yield from textwrap.wrap(text, width, initial_indent=" " * 8, subsequent_indent=" " * 8)


def _number(value: int | float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
