"""From a prior or photographs to 3D: fields, renderers, regularizers, meshing and tasks."""
