"""Motion modules: temporal attention between the frozen layers of an image prior (AnimateDiff, arXiv:2307.04725)."""
