"""From values to objects: `{_target_: dotted.name, option: value, ...}` becomes the object that it describes.

The constructor is the schema. `complete` checks a whole tree of nodes against the constructors before
anything is built, fills in their defaults and brings numbers to the annotated type; `build` then makes the
objects, inner ones first.
"""

import types
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from suite.errors import UserError
from suite.options import REQUIRED, Option, locate, name_of, not_one_of, options_of, takes_anything

SCALARS = (bool, int, float, str, type(None), Path)


def build(config: Any, **extra: Any) -> Any:
    """Builds the object that `config` describes, inner objects first.

    Args:
        config: Plain data (or an OmegaConf node): `{_target_: dotted.name, option: value, ...}`; values may
            be nodes themselves, or lists and mappings of them.
        extra: Further options of the outermost object, as objects.

    Raises:
        UserError: An unknown or missing option, or a plain value of the wrong type. What a constructor raises
            comes through as it is.
    """
    config = plain(config)
    if extra:
        config = {**config, **dict.fromkeys(extra)}
        _check_names(locate(config["_target_"]), config)
        config = {key: value for key, value in config.items() if key not in extra}
    return _instantiate(complete(config, supplied=extra), extra)


def complete(node: Any, supplied: Collection[str] = ()) -> Any:
    """The same tree with every option of every `_target_` spelled out, as plain data.

    Args:
        node: Plain data.
        supplied: Options of the outermost node that come from elsewhere, so that they may be missing.

    Raises:
        UserError: As `build`.
    """
    if isinstance(node, list):
        return [complete(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "_target_" not in node:
        return {key: complete(value) for key, value in node.items()}
    target = locate(node["_target_"])
    _check_names(target, node)
    full = {"_target_": node["_target_"]}
    options = options_of(target)
    for name, option in options.items():
        if name in node:
            full[name] = plain(conform(complete(node[name]), option, target))
        elif option.default is REQUIRED and name not in supplied:
            raise UserError(f"{name_of(target)} needs {name!r}: type {name}=... {option.doc}".rstrip())
        elif _is_plain(option.default) and name not in supplied:
            full[name] = plain(option.default)
    return full | {key: complete(value) for key, value in node.items() if key not in full}


def plain(value: Any) -> Any:
    """The value as JSON would have it: OmegaConf nodes and tuples become dicts and lists, paths strings."""
    if type(value).__module__.startswith("omegaconf"):
        from omegaconf import OmegaConf

        value = OmegaConf.to_container(value, resolve=True)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def conform(value: Any, option: Option, target: Callable) -> Any:
    """The plain value as the annotation wants it: 100 becomes 100.0 for a float, a list becomes a tuple.

    Raises:
        UserError: A number, text, choice, list or mapping where the annotation admits none such. Other mismatches
            are left to the constructor.
    """
    converted, fits = _converted(value, option.annotation)
    if not fits:
        wanted = option.type_name.replace("Literal[", "one of [")
        said = f"{option.name} of {name_of(target)} must be {wanted}, got {value!r}."
        raise UserError(f"{said} {option.doc}" if "Mapping[" in wanted else said)
    return converted


def _converted(value: Any, annotation: Any) -> tuple[Any, bool]:
    """(value brought to the annotation, whether it fits). Anything fits what is not understood."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if isinstance(value, list | tuple):
        return _converted_list(value, kinds), not _understood(kinds)
    if isinstance(value, dict):
        return _converted_mapping(value, kinds)
    if value is None or isinstance(value, bool):
        fits = type(value) in kinds or value in choices
    elif isinstance(value, int):
        value = float(value) if float in kinds and int not in kinds else value
        fits = int in kinds or float in kinds or value in choices
    elif isinstance(value, float):
        value = int(value) if int in kinds and float not in kinds and value.is_integer() else value
        fits = type(value) in kinds or value in choices
    elif isinstance(value, str):
        fits = str in kinds or Path in kinds or value in choices
        value = Path(value) if Path in kinds and str not in kinds else value
    else:
        return value, True
    return value, fits or not _understood(kinds)


def _understood(kinds: Sequence) -> bool:
    """Whether these are scalars, choices and mappings alone."""
    return all(kind in SCALARS or get_origin(kind) in (Literal, Mapping) for kind in kinds)


def _converted_mapping(values: dict, kinds: Sequence) -> tuple[dict, bool]:
    """A mapping of names to values where the annotation says which."""
    for kind in kinds:
        if get_origin(kind) is Mapping:
            found = {key: _converted(value, get_args(kind)[1]) for key, value in values.items()}
            return {key: value for key, (value, _) in found.items()}, all(fits for _, fits in found.values())
    return values, not _understood(kinds)


def _converted_list(values: Sequence, kinds: Sequence) -> Sequence:
    """A list as the tuple or sequence that the annotation names, its items converted too."""
    for kind in kinds:
        origin, items = get_origin(kind), get_args(kind)
        if origin is tuple and items:
            each = items[:1] * len(values) if items[-1] is Ellipsis else items
            if len(each) == len(values):
                return tuple(_converted(value, item)[0] for value, item in zip(values, each))
        if isinstance(origin, type) and origin is not tuple and issubclass(origin, Sequence) and items:
            return [_converted(value, items[0])[0] for value in values]
    return tuple(values) if tuple in kinds and list not in kinds else values


def _instantiate(node: Any, extra: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_instantiate(item, {}) for item in node]
    if not isinstance(node, dict):
        return node
    built = {key: _instantiate(value, {}) for key, value in node.items() if key != "_target_"}
    if "_target_" not in node:
        return built
    target = locate(node["_target_"])
    options = options_of(target)
    arguments = {k: conform(v, options[k], target) if k in options else v for k, v in built.items()}
    return target(**arguments, **extra)


def _check_names(target: Callable, node: Mapping[str, Any]) -> None:
    options = options_of(target)
    for key in node:
        if key != "_target_" and key not in options and not takes_anything(target):
            raise UserError(not_one_of(key, options, f"an option of {name_of(target)}", "Its options are"))


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return isinstance(value, SCALARS)
