"""The trunk: configuration, runs, cameras, meshes, samplers, metrics and toyworld, where truth is known."""
