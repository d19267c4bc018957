"""Surfaces that are meshes from the start: signed distances on a grid, extracted differentiably."""
