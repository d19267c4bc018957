"""What can be typed: the options of a class with their types and docs, and 'did you mean' for the mistyped.

A constructor is the schema: its signature gives names, types and defaults, its docstring's `Args:` the docs.
"""

import difflib
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from suite.errors import UserError

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Option:
    """One argument of a constructor.

    Args:
        name: What the user types.
        annotation: Its type, `inspect.Parameter.empty` where there is none.
        default: Its default, `REQUIRED` where there is none.
        doc: What the docstring says of it, one paragraph.
    """

    name: str
    annotation: Any
    default: Any
    doc: str

    @property
    def type_name(self) -> str:
        """The type as written, without module names."""
        if self.annotation is REQUIRED:
            return ""
        return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", inspect.formatannotation(self.annotation))


def options_of(target: Callable) -> dict[str, Option]:
    """The named arguments of a class or function, in order."""
    docs = _argument_docs(target)
    parameters = inspect.signature(target).parameters.values()
    named = (p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    return {p.name: Option(p.name, p.annotation, p.default, docs.get(p.name, "")) for p in named}


def takes_anything(target: Callable) -> bool:
    """Whether the target has `**kwargs`, so that its options cannot be known (third-party classes)."""
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(target).parameters.values())


def name_of(target: Callable) -> str:
    return f"{target.__module__}.{target.__qualname__}"


def locate(dotted: str) -> Callable:
    """The class or function of a dotted name, as `_target_` gives it.

    Raises:
        UserError: There is no such module or no such name in it.
    """
    parts = dotted.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:cut])
        try:
            found = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # the module is there, but something that it imports is not
            continue
        for part in parts[cut:]:
            if not hasattr(found, part):
                raise UserError(f"_target_ {dotted}: {not_one_of(part, vars(found), f'in {name}')}")
            found = getattr(found, part)
        return found
    raise UserError(f"_target_ {dotted}: there is no module {parts[0]!r}.")


def not_one_of(asked: str, possible: Iterable[str], role: str, listing: str | None = None) -> str:
    """'scael' is not an option of X. Did you mean 'scale'? <listing>: scale, t_min."""
    possible = [name for name in dict.fromkeys(possible) if not name.startswith("_")]
    close = difflib.get_close_matches(asked, possible, n=1, cutoff=0.6)
    text = f"{asked!r} is not {role}."
    if close:
        text += f" Did you mean {close[0]!r}?"
    if listing is not None:
        text += f" {listing}: {', '.join(possible) or '(none)'}."
    return text


def _argument_docs(target: Callable) -> dict[str, str]:
    """Argument -> doc; a class inherits the docs of its bases' arguments."""
    docs: dict[str, str] = {}
    for owner in reversed(target.__mro__) if inspect.isclass(target) else (target,):
        doc = inspect.cleandoc(owner.__doc__ or "")
        if "Args:" not in doc and "__init__" in vars(owner):
            doc = inspect.cleandoc(owner.__init__.__doc__ or "")
        docs |= _documented(doc)
    return docs


def _documented(doc: str) -> dict[str, str]:
    """Argument -> doc, from the `Args:` section of a docstring ("a, b: text" documents both)."""
    section = re.search(r"^Args:[ ]*\n((?:[ \t]+.*(?:\n|$)|\n)*)", doc, flags=re.MULTILINE)
    docs: dict[str, str] = {}
    names: list[str] = []
    for line in textwrap.dedent(section[1]).splitlines() if section else ():
        start = re.match(r"((?:\*?\w+)(?:, ?\w+)*)(?: \([^)]*\))?:\s*(.*)", line)
        if start:
            names = re.split(r", ?", start[1])
            docs.update(dict.fromkeys(names, start[2]))
        elif line.strip():
            docs.update({name: f"{docs[name]} {line.strip()}".strip() for name in names})
    return docs
