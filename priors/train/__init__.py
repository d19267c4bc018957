"""Trainers of priors: codec, text encoder, denoiser."""
