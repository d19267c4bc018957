"""Stable Diffusion checkpoints: by name, folder or single file; loaded completely or refused in one line.

    folder        diffusers' layout: model_index.json, unet/, vae/, text_encoder/, tokenizer/, scheduler/
    single file   the original releases' .safetensors and .ckpt (priors/loading/single_files.py)
    repository    owner/name on the hub (priors/loading/hub.py), which is a folder once it is in the cache
    pocket        the prior that is shipped in this package

Loading is strict: a tensor too few or too many is an error. (diffusers only warns; a missing parameter then
has no memory and fails much later, or is silently noise.)
"""

import difflib
import importlib.util
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from priors.loading import hub
from priors.loading.components import FAMILIES, Components
from priors.loading.folders import (
    class_of,
    listing,
    load_folder,
    load_network,
    missing_parts,
    wanted_files,
)
from priors.loading.single_files import load_file
from priors.loading.weights import SUFFIXES, choose
from suite.errors import UserError

SHIPPED = {name: Path(__file__).parent / name for name in ("pocket", "pocket_zero123")}


def load_components(
    path: str | Path,
    *,
    family: str = "auto",
    prediction_type: str = "auto",
    variant: str | None = None,
    dtype: torch.dtype = torch.float32,
    tokenizer: str | Path | None = None,
    config: str | Path | None = None,
) -> Components:
    """Load a checkpoint, whatever its form.

    Args:
        path: A folder, a single file, owner/name on the hub, or "pocket".
        family: What it must be: sd15, sd21, sdxl; "auto" takes what is found.
        prediction_type: "epsilon" or "v_prediction"; "auto" takes it from the scheduler's configuration.
        variant: Weight files to prefer, as "fp16".
        dtype: Of the networks.
        tokenizer: A folder with CLIP's vocabulary, for single files.
        config: A folder with the networks' configurations, for single files of unusual size.

    Raises:
        UserError: Anything is missing, damaged or of another family; says what to do.
    """
    check_packages()
    if family not in ("auto", *FAMILIES):
        raise UserError(f"family={family!r} is not one of: auto, {', '.join(FAMILIES)}.")
    if prediction_type not in ("auto", "epsilon", "v_prediction", "sample"):
        raise UserError(
            f"prediction_type={prediction_type!r} is not one of: auto, epsilon, v_prediction, sample."
        )
    found = locate(path, variant)
    with quiet():
        if found.is_file():
            return load_file(
                found,
                family=family,
                prediction_type=prediction_type,
                dtype=dtype,
                tokenizer=tokenizer,
                config=config,
            )
        return load_folder(
            found, family=family, prediction_type=prediction_type, variant=variant, dtype=dtype
        )


def load_tiny_encoder(name: str, *, is_xl: bool, dtype: torch.dtype) -> nn.Module:
    """A TAESD (diffusers' AutoencoderTiny).

    Args:
        name: Its folder, or "taesd": madebyollin/taesd (taesdxl for XL) from the hub or its cache.

    Raises:
        UserError: There is none.
    """
    check_packages()
    if name == "taesd":
        folder = hub.snapshot(
            "madebyollin/taesdxl" if is_xl else "madebyollin/taesd",
            complete=lambda folder: bool(choose(os.listdir(folder), None)[0]),
            wanted=lambda files: ["config.json", *choose(files, None)[0]],
        )
    else:
        folder = Path(name).expanduser()
        if not folder.is_dir():
            raise UserError(f"encoder={name!r} is neither vae, taesd nor a folder with a TAESD.")
    with quiet():
        return load_network(folder, class_of("diffusers", "AutoencoderTiny"), variant=None, dtype=dtype)


def locate(path: str | Path, variant: str | None = None) -> Path:
    """The local folder or file of a name.

    Raises:
        UserError: There is none.
    """
    name = str(path)
    if name in SHIPPED:
        return SHIPPED[name]
    if "://" in name:
        raise UserError(f"{name!r} is an address. Download it, or give the repository as owner/name.")
    local = Path(path).expanduser()
    if local.exists():
        return local
    parent_is_local = local.parent != Path(".") and local.parent.is_dir()
    if local.suffix in SUFFIXES or parent_is_local or not hub.is_repository(name):
        raise UserError(_not_there(local))
    return hub.snapshot(
        name,
        complete=lambda folder: not missing_parts(folder),
        wanted=lambda files: wanted_files(files, variant),
    )


def _not_there(local: Path) -> str:
    kind = "file" if local.suffix in SUFFIXES else "folder"
    folder = next((parent for parent in local.parents if parent.is_dir()), Path("."))
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    close = difflib.get_close_matches(local.name, names, n=1)
    hint = f" Did you mean '{folder / close[0]}'?" if close else ""
    return (
        f"There is no {kind} {str(local)!r}.{hint} '{folder}' holds: {listing(names)}. A prior's path is a "
        "folder in diffusers' layout, a .safetensors or .ckpt file, owner/name on the hub, or pocket."
    )


def check_packages() -> None:
    """Refuse to go on without the packages that read a checkpoint.

    Raises:
        UserError: One is missing, with the command that installs it.
    """
    missing = [p for p in ("diffusers", "transformers", "safetensors") if not importlib.util.find_spec(p)]
    if importlib.util.find_spec("peft") and not importlib.util.find_spec("accelerate"):
        missing.append("accelerate")  # peft imports it, and diffusers imports peft
    if missing:
        raise UserError(f"Loading a prior needs {', '.join(missing)}: pip install {' '.join(missing)}")


@contextmanager
def quiet() -> Iterator[None]:
    """diffusers and transformers without progress bars and notices: what matters is raised here."""
    from diffusers.utils import logging as diffusers_log
    from transformers.utils import logging as transformers_log

    logs = (diffusers_log, transformers_log)
    before = [(log.get_verbosity(), log.is_progress_bar_enabled()) for log in logs]
    for log in logs:
        log.set_verbosity(logging.CRITICAL)
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log, (verbosity, bars) in zip(logs, before):
            log.set_verbosity(verbosity)
            if bars:
                log.enable_progress_bar()
