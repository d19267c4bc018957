"""Frozen 2D diffusion priors behind one interface, the distillation guidances, adapters and trainers."""
