"""What is wrong with meshes that people have, put right where that is safe, and said in one line where it is done."""

import logging
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from suite.errors import UserError
from suite.geometry.mesh import Mesh

log = logging.getLogger(__name__)
LEAST_AREA = 1e-14  # of a face, in squares of the longest side: thinner ones have no direction in float32
SMALL, LARGE = 0.02, 50.0  # longest sides, in whatever unit, that are not remarked upon


def sound(mesh: Mesh, name: str) -> Mesh:
    """The mesh without faces that cannot be used: with corners that are not finite, or without area.

    Args:
        name: Of its file, for what is said.

    Raises:
        UserError: No face is left, or no face has a size.
    """
    finite = mesh.vertices.isfinite().all(dim=1)
    broken = ~finite[mesh.faces].all(dim=1)
    count = int((~finite).sum())
    if bool(broken.all()):
        raise UserError(
            f"{name} has {count} vertices that are not finite (NaN or infinity), and every face uses one: "
            "export it again from the program that made it."
        )
    if count:
        log.warning(
            "%s: %d vertices are not finite; %d faces with them are left out.", name, count, int(broken.sum())
        )
        mesh = mesh.with_faces(~broken)
    low, high = mesh.bounds.double()
    side = float((high - low).max())
    if side == 0:
        raise UserError(f"{name} has all of its faces at one point. Export it again.")
    if not 1e-18 < side < 1e18:
        raise UserError(
            f"{name} is {side:.3g} in size, which single precision cannot hold: scale it to between a millimetre "
            "and a kilometre and export it again."
        )
    flat = _flat(mesh, side)
    if bool(flat.all()):
        raise UserError(
            f"{name} has no face with an area: all of its corners lie on a line. Export it again."
        )
    if flat.any():
        log.info("%s: %d faces without area are left out.", name, int(flat.sum()))
        mesh = mesh.with_faces(~flat)
    return _with_finite_attributes(mesh, name)


def remark_on_size(mesh: Mesh, name: str) -> None:
    """Says so if the mesh is of a size that smells of another unit."""
    side = float((mesh.bounds[1] - mesh.bounds[0]).max())
    if not SMALL <= side <= LARGE:
        log.info(
            "%s: its longest side is %.3g units (millimetres? inches?); it is worked on at unit size and kept in its "
            "own.",
            name,
            side,
        )


def _flat(mesh: Mesh, side: float) -> Bool[Tensor, " f"]:
    """Faces without area, whatever the unit."""
    a, b, c = (mesh.vertices.double() / side)[mesh.faces].unbind(1)
    return torch.linalg.cross(b - a, c - a).norm(dim=-1) < 2 * LEAST_AREA


def _with_finite_attributes(mesh: Mesh, name: str) -> Mesh:
    """NaN in normals, uv or colours: normals are computed anew, the others are set to zero."""
    changes = {}
    for attribute in ("normals", "uv", "vertex_colors"):
        values = getattr(mesh, attribute)
        if values is not None and not bool(values.isfinite().all()):
            changes[attribute] = None if attribute == "normals" else values.nan_to_num(0.0, 0.0, 0.0)
            log.warning(
                "%s: some of its %s are not finite and are not used.", name, attribute.replace("_", " ")
            )
    return replace(mesh, **changes) if changes else mesh
