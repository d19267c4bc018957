"""Randomness is passed in, never global: every draw comes from a generator made of (seed, step, name).

A run that is killed and resumed at step 300 therefore draws what the uninterrupted one drew at step 300,
whatever happened before, and adding a draw under a new name changes no other draw.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def generator(seed: int, step: int, name: str, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator whose state is a function of its arguments alone.

    Args:
        seed: The run's seed.
        step: The step of the run that draws; 0 for what is drawn once.
        name: What is drawn, as "init", "step" or "background". Different names draw independently.
        device: Where the numbers are wanted. The same seed gives other numbers on another kind of device.
    """
    return torch.Generator(device=device).manual_seed(_hash(seed, step, name))


@contextmanager
def global_randomness() -> Iterator[None]:
    """Puts torch's global random state back afterwards, so that `reseed` inside changes nothing outside."""
    cpu = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


def reseed(seed: int, step: int, name: str) -> None:
    """Seeds torch's global randomness, for what takes no generator (dropout, the initialization of layers).

    Only the command line and the training loop call it, inside `global_randomness`.
    """
    number = _hash(seed, step, name)
    torch.default_generator.manual_seed(number)  # torch.manual_seed formats a stack trace: 1 ms a step
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(number)


def _hash(seed: int, step: int, name: str) -> int:
    digest = hashlib.blake2b(f"{seed}\0{step}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
