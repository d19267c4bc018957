"""The trunk: configuration, runs, cameras, meshes, samplers, metrics and toyworld, the world with known answers."""
