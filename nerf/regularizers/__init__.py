"""Penalties on a rendering or a field."""
