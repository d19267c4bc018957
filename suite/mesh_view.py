"""A mesh that turns under the mouse, in a notebook: a few dozen kilobytes that need no network.

    MeshView(load_mesh("mesh.glb"))            as the last line of a cell

Triangles are drawn from far to near on a plain canvas. For all of a mesh's detail open the report of its run.
"""

import base64
import hashlib
from pathlib import Path
from string import Template

import numpy as np

from suite.geometry.mesh import Mesh

PAGE = Path(__file__).parent / "assets" / "mesh_view.html"
UNIT = 32767  # int16 steps in one unit of length


class MeshView:
    """Shows itself in a notebook; drag to turn, scroll to zoom.

    Args:
        mesh: Coloured by vertices or texture.
        faces: It is reduced to at most about this many triangles.
        size: Width and height in pixels.
        azimuth_deg, elevation_deg: Where it is seen from at first.

    Raises:
        ValueError: The mesh has no faces, or a number is out of range.
    """

    def __init__(
        self,
        mesh: Mesh,
        *,
        faces: int = 2500,
        size: int = 360,
        azimuth_deg: float | int = 35.0,
        elevation_deg: float | int = 15.0,
    ) -> None:
        if not 4 <= faces <= 20_000 or size < 16:
            raise ValueError(f"MeshView needs 4 <= faces <= 20000 and size >= 16, got {faces=}, {size=}.")
        if len(mesh.faces) == 0:
            raise ValueError("MeshView has nothing to show: the mesh has no faces.")
        self.mesh = mesh.decimated(faces).normalized().with_vertex_colors()
        self.size, self.azimuth_deg, self.elevation_deg = size, float(azimuth_deg), float(elevation_deg)

    def data(self) -> bytes:
        """Vertices as int16, faces as uint16, a colour for each face as 3 bytes, one after the other."""
        used, index = np.unique(self.mesh.faces.cpu().numpy(), return_inverse=True)
        vertices = self.mesh.vertices.detach().cpu().numpy()[used]
        colors = self.mesh.vertex_colors.detach().cpu().numpy()[self.mesh.faces.cpu().numpy()].mean(1)
        parts = (
            np.rint(vertices * UNIT).astype("<i2"),
            index.reshape(-1, 3).astype("<u2"),
            np.rint(255 * colors.clip(0, 1)).astype("u1"),
        )
        return b"".join(part.tobytes() for part in parts)

    def html(self) -> str:
        """A fragment that stands alone in any page."""
        data = self.data()
        faces = len(self.mesh.faces)
        return Template(PAGE.read_text(encoding="utf-8")).substitute(
            name="mesh-" + hashlib.blake2b(data, digest_size=4).hexdigest(),
            data=base64.b64encode(data).decode(),
            vertices=(len(data) - 9 * faces) // 6,
            faces=faces,
            unit=UNIT,
            size=self.size,
            azimuth=self.azimuth_deg,
            elevation=self.elevation_deg,
        )

    _repr_html_ = html
