"""Experiments over runs: comparison and sweeps."""
