"""Density and colour as functions of position."""
