"""Small networks of our own on disk: NAME.json with what they are made with, NAME.safetensors in half precision."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from suite.errors import UserError
from suite.io.weights import check_same_tensors, load_state, save_state, write_atomically

Network = TypeVar("Network", bound=nn.Module)


def save_network(network: nn.Module, folder: str | Path, name: str, about: Mapping[str, Any]) -> None:
    """Writes both files.

    Args:
        about: The arguments that make the network.
    """
    folder = Path(folder)
    halved = {n: x.half() if x.is_floating_point() else x for n, x in network.state_dict().items()}
    save_state(folder / f"{name}.safetensors", halved)
    write_atomically(folder / f"{name}.json", json.dumps(dict(about), indent=1) + "\n")


def load_network(make: Callable[..., Network], folder: str | Path, name: str, task: str) -> Network:
    """The network that `save_network` wrote, frozen, in single precision.

    Args:
        make: Takes what `about` was; its lists become tuples.
        task: The command that makes one, for the message.

    Raises:
        UserError: A file is missing, or the weights are damaged or of another network.
    """
    folder = Path(folder)
    for file in (f"{name}.json", f"{name}.safetensors"):
        if not (folder / file).is_file():
            raise UserError(f"{folder} holds no {name}: {file} is missing. `{task}` makes one.")
    about = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    network = make(**{key: tuple(x) if isinstance(x, list) else x for key, x in about.items()})
    state = load_state(folder / f"{name}.safetensors")
    check_same_tensors(network.state_dict(), state, str(folder / f"{name}.safetensors"))
    network.load_state_dict({n: x.float() if x.is_floating_point() else x for n, x in state.items()})
    return network.eval().requires_grad_(False)
