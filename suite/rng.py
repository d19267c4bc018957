"""Randomness is passed in, never global: every draw comes from a generator made of (seed, step, name).

A run that is killed and resumed at step 300 therefore draws what the uninterrupted one drew at step 300,
whatever happened before, and adding a draw under a new name changes no other draw.
"""

import hashlib

import torch


def generator(seed: int, step: int, name: str, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator whose state is a function of its arguments alone.

    Args:
        seed: The run's seed.
        step: The step of the run that draws; 0 for what is drawn once.
        name: What is drawn, as "init", "step" or "background". Different names draw independently.
        device: Where the numbers are wanted. The same seed gives other numbers on another kind of device.
    """
    digest = hashlib.blake2b(f"{seed}\0{step}\0{name}".encode(), digest_size=8).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest, "big"))
