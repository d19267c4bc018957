"""Noise schedules, conversions between predictions, classifier-free guidance and samplers."""
