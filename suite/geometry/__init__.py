"""Cameras, rays, transforms, meshes and triangles to pixels."""
