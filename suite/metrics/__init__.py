"""Measures of images, geometry and text agreement, against known answers."""
