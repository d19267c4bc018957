"""Reading Stable Diffusion checkpoints in their several forms; `priors.checkpoints` is the entrance."""
