"""Score distillation: one paper a file."""
