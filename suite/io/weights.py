"""State on disk: nested dicts and lists of tensors and plain values as one safetensors file, atomically.

The tensors are safetensors' own; the nesting, the plain values and a CRC-32 of the tensor bytes are JSON in
the file's metadata. What is loaded equals what was saved, bit for bit, types and dict keys included.
"""

import json
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from suite.errors import UserError


class DamagedFile(UserError):
    """A file that is truncated, altered or not of this kind."""


def save_state(path: str | Path, state: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a nested state atomically: a reader (or a crash) sees the old file or the new one, no mixture.

    Args:
        path: The file; its folder is made.
        state: Dicts (keys: text or integers), lists and tuples of tensors, numbers, text, booleans and None.
        metadata: Text kept beside it, read by `read_metadata` without loading the tensors.
    """
    import safetensors.torch

    tensors: dict[str, Tensor] = {}
    structure = _encode(state, tensors, "")
    header = dict(metadata or {}) | {"structure": json.dumps(structure), "crc32": str(_crc32(tensors))}
    write_atomically(path, safetensors.torch.save(tensors, metadata=header))


def load_state(path: str | Path) -> Any:
    """The state that `save_state` wrote, on the CPU.

    Raises:
        DamagedFile: The file is truncated, altered or was not written by `save_state`.
        FileNotFoundError: There is no such file.
    """
    import safetensors

    metadata = read_metadata(path)
    if "structure" not in metadata:
        raise DamagedFile(f"{path} is not a state file of this suite.")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            # clone: memory of its own, aligned like the memory of an uninterrupted run
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
        if str(_crc32(tensors)) != metadata["crc32"]:
            raise DamagedFile(f"{path} is damaged: its checksum does not match its contents.")
        return _decode(json.loads(metadata["structure"]), tensors)
    except (safetensors.SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise DamagedFile(f"{path} is damaged: {error}") from error


def read_metadata(path: str | Path) -> dict[str, str]:
    """The text beside the tensors; raises DamagedFile or FileNotFoundError as `load_state`."""
    import safetensors

    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except safetensors.SafetensorError as error:
        raise DamagedFile(f"{path} is damaged: {error}") from error


def write_atomically(path: str | Path, data: bytes | str) -> None:
    """Writes beside the file, forces it to the disk, then renames it over the old one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(partial, "wb") as file:
            file.write(data.encode(errors="backslashreplace") if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def check_same_tensors(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], what: str) -> None:
    """Strict loading: the same names and shapes on both sides.

    Raises:
        UserError: A diff of what is missing, unexpected or of another shape, the first lines of each.
    """
    missing = sorted(expected.keys() - found.keys())
    unexpected = sorted(found.keys() - expected.keys())
    reshaped = [
        f"{name}: {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & found.keys())
        if found[name].shape != expected[name].shape
    ]
    parts = (("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped))
    texts = [f"{len(names)} {kind} ({_abridged(names)})" for kind, names in parts if names]
    if texts:
        raise UserError(f"{what} does not fit: {'; '.join(texts)}.")


def map_tensors(state: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The same nested state with `function` applied to every tensor."""
    if isinstance(state, Tensor):
        return function(state)
    if isinstance(state, Mapping):
        return {key: map_tensors(value, function) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(map_tensors(value, function) for value in state)
    return state


def _abridged(names: list[str], limit: int = 4) -> str:
    more = f", and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _encode(value: Any, tensors: dict[str, Tensor], name: str) -> Any:
    """JSON of a nested state: [kind, content]; tensors go into `tensors` under their path."""
    if isinstance(value, Tensor):
        name = name.lstrip(".") or "tensor"
        while name in tensors:  # the keys 1 and "1" have one path
            name += "'"
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return ["tensor", name]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str | int) for key in value):
            raise TypeError(f"A state's keys are text or integers, got {list(value)}.")
        return ["dict", [[key, _encode(item, tensors, f"{name}.{key}")] for key, item in value.items()]]
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return [kind, [_encode(item, tensors, f"{name}.{i}") for i, item in enumerate(value)]]
    if value is None or isinstance(value, bool | int | float | str):
        return ["value", value]
    raise TypeError(
        f"A state holds tensors, numbers, text, lists and dicts; {name} is a {type(value).__name__}."
    )


def _decode(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    kind, content = node
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _decode(item, tensors) for key, item in content}
    if kind in ("list", "tuple"):
        items = [_decode(item, tensors) for item in content]
        return items if kind == "list" else tuple(items)
    return content


def _crc32(tensors: Mapping[str, Tensor]) -> int:
    """A checksum over names and bytes: safetensors itself notices truncation, but no flipped bit."""
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        total = zlib.crc32(tensors[name].flatten().view(torch.uint8).numpy(), total)
    return total
