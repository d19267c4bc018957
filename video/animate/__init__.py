"""Pose-guided animation of a still: the networks of Animate Anyone on an image prior, their files, their training."""
