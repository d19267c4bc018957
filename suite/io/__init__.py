"""Files: images, videos, meshes, weights."""
