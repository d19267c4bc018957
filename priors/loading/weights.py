"""Weight files on disk: which of a folder's to take, and whether they are whole before they are read."""

import json
import logging
import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from suite.errors import UserError

logger = logging.getLogger(__name__)

SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
REBUILD = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
STEMS = ("diffusion_pytorch_model", "pytorch_model", "model")


def variant_of(name: str) -> str | None:
    """`model.fp16-00001-of-00002.safetensors` -> "fp16"; `model.safetensors` -> None."""
    middle = name.split(".")[1:-1]
    return middle[0].split("-")[0] if middle else None


def choose(names: Sequence[str], variant: str | None) -> tuple[list[str], str | None]:
    """The weight files to load among a folder's files, and their variant: the one asked for, else the plain
    ones, else the only one there is. Safetensors before pickles. Empty if there are none."""
    weights = [
        name
        for name in names
        if name.endswith((".safetensors", ".bin")) and name.split(".")[0].split("-")[0] in STEMS
    ]
    variants = {variant_of(name) for name in weights}
    for wanted in (variant, None, *sorted(v for v in variants if v)):
        if wanted in variants:
            of_variant = [name for name in weights if variant_of(name) == wanted]
            safe = [name for name in of_variant if name.endswith(".safetensors")]
            return sorted(safe or of_variant), wanted
    return [], None


def check_whole(path: Path) -> None:
    """Refuse a weight file that is a Git LFS pointer, or a safetensors file that is cut short or garbage.

    Only the header is read: a few kilobytes of a file of gigabytes.

    Raises:
        UserError: It is; with the file's size.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(8)
        if head.startswith(b"version "):
            raise UserError(
                f"{path} is a Git LFS pointer, not the weights. Type `git lfs pull` in its folder, or "
                "download it again."
            )
        if path.suffix != ".safetensors":
            return
        length = int.from_bytes(head, "little")
        header = file.read(length) if length < 100_000_000 else b""
    try:
        tensors = {k: v for k, v in json.loads(header).items() if k != "__metadata__"}
        expected = 8 + length + max((v["data_offsets"][1] for v in tensors.values()), default=0)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} ({size:,} bytes) is not a safetensors file: its header cannot be read. Download it "
            "again."
        ) from error
    if size < expected:
        raise UserError(
            f"{path} is cut short: {size:,} of {expected:,} bytes. The download or copy was interrupted; "
            "repeat it."
        )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a `.safetensors` file or of a training checkpoint (`.ckpt`, `.pt`, `.pth`, `.bin`).

    Raises:
        UserError: The file is damaged, or not a checkpoint.
    """
    check_whole(path)
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=_InertPickle)
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(
            f"{path} ({path.stat().st_size:,} bytes) is not a readable checkpoint ({type(error).__name__}). "
            "Download it again, or take the .safetensors file."
        ) from error
    content = content.get("state_dict", content) if isinstance(content, dict) else {}
    tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise UserError(f"{path} holds no tensors. A checkpoint of Stable Diffusion has about 1,000.")
    return tensors


class _Inert:
    """Stands for any class that a pickle names, and does nothing."""

    def __new__(cls, *args: object, **kwargs: object) -> "_Inert":
        return object.__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None: ...
    def __setstate__(self, state: object) -> None: ...
    def __setitem__(self, key: object, value: object) -> None: ...
    def append(self, item: object) -> None: ...
    def __call__(self, *args: object, **kwargs: object) -> "_Inert":
        return self


class _InertUnpickler(pickle.Unpickler):
    """Rebuilds tensors and plain containers only. The original `.ckpt` releases carry callbacks of their
    trainer, which `weights_only=True` refuses; here nothing that a pickle names is imported or run."""

    def find_class(self, module: str, name: str) -> object:
        if module == "collections" and name in ("OrderedDict", "defaultdict"):
            return super().find_class(module, name)
        if module == "torch._utils" and name in REBUILD:
            return super().find_class(module, name)
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if module in ("torch", "torch.storage") and name.endswith("Storage"):
            return super().find_class(module, name)
        return _Inert


class _InertPickle:
    """What `torch.load` takes as a pickle module."""

    __name__ = "inert pickle"
    Unpickler = _InertUnpickler

    @staticmethod
    def load(file: object, **options: object) -> object:
        return _InertUnpickler(file, **options).load()
