"""One key=value word of the command line, checked against a task's configuration, in Hydra's grammar."""

import re
from collections.abc import Iterator
from typing import Any

from suite.errors import UserError
from suite.options import Option, locate, not_one_of, options_of
from suite.settings import Settings


def is_group(word: str, groups: dict) -> bool:
    """Whether the word chooses in a group of the task."""
    key = word.partition("=")[0]
    return key in groups or key.lstrip("+~") in groups or key.lstrip("+") == "experiment"


def is_hydras_own(word: str) -> bool:
    """Whether the word is for Hydra as it stands."""
    key = word.partition("=")[0]
    return key.startswith(("+", "~", "hydra.", "hydra/")) or "@" in key


def first_choice(word: str) -> str:
    """The first member of what may be a sweep over a group's choices."""
    override = parsed(word)
    if override is not None and override.is_sweep_override():
        return next(iter(override.sweep_string_iterator()))
    return word.partition("=")[2]


def find(key: str, config: dict, groups: dict, task: str, value: str) -> tuple[str, Option | None, bool]:
    """(the full key, its option, whether an object is there so far); raises UserError if there is no such key."""
    node, walked, option = config, "", None
    for part in key.split("."):
        if isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node, option = node[int(part)], None
        elif isinstance(node, dict):
            options = _keys(node, top=not walked)
            if part not in options:
                names = [*options, *(() if walked else groups)]
                text = not_one_of(part, names, f"an option of {walked or task}", "Its options are")
                deeper = " or ".join(_deeper(part, node, f"{walked}.".lstrip(".")))
                raise UserError(f"{text} Perhaps you mean {deeper}." if deeper else text)
            node, option = node.get(part), options[part]
        else:
            choices = (
                f" Choose one first: {walked}={' or '.join(groups[walked])}." if groups.get(walked) else ""
            )
            raise UserError(
                f"{key!r} cannot be set: {walked} is {node!r} in this configuration, not an object.{choices}"
            )
        walked = f"{walked}.{part}".lstrip(".")
    if isinstance(node, dict) and "_target_" in node and not _replaces(value, option):
        option = next(iter(options_of(locate(node["_target_"])).values()))
        walked, node = f"{walked}.{option.name}", node.get(option.name)
    return walked, option, isinstance(node, dict)


def _deeper(name: str, node: Any, walked: str) -> Iterator[str]:
    """The full keys of options of this name within a node's own nodes."""
    for key, inner in node.items() if isinstance(node, dict) else ():
        if isinstance(inner, dict):
            if name in _keys(inner, top=False):
                yield f"{walked}{key}.{name}"
            yield from _deeper(name, inner, f"{walked}{key}.")


def _replaces(value: str, option: Option | None) -> bool:
    """Whether a value stands for a whole object: null, {...}, or a number or list where one is accepted."""
    kinds = option.type_name if option is not None else ""
    if re.match(r"[-+]?\.?\d[\d.e+-]*(,|$)", value):
        return re.search(r"\b(int|float)\b", kinds) is not None
    if value.startswith("["):
        return re.search(r"\b(list|tuple|Sequence|Schedule)\b", kinds) is not None
    return value == "null" or value.startswith("{")


def _keys(node: dict, top: bool) -> dict[str, Option | None]:
    """What can be set in a node: the options of its `_target_`, its own keys, and at the top the run's."""
    options = options_of(locate(node["_target_"])) if "_target_" in node else {}
    keys = options | (options_of(Settings) if top else {})
    return keys | {key: None for key in node if key not in keys}


def literal(value: str, option: Option | None, sweep: bool) -> str:
    """The value in Hydra's grammar: quoted unless it is a number, a list, ... or, under -m, a sweep."""
    override = parsed(f"key={value}")
    if override is None:
        return quoted(value)
    if override.is_sweep_override():
        return value if sweep else quoted(value)
    typed = override.value()
    text_wanted = option is not None and re.match(r"(str|Path)( \||$)", option.type_name)
    is_text = isinstance(typed, str) and value == value.strip()
    if text_wanted and not is_text and not (typed is None and "None" in option.type_name):
        return quoted(value)
    return value


def parsed(word: str) -> Any:
    """Hydra's reading of a word, or None if it does not follow the grammar."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None


def quoted(value: str) -> str:
    """Any text as one value of Hydra's grammar."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)  # backslashes count only before a quote
    return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"
