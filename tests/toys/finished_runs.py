"""Run directories as `suite text_to_3d` leaves them, without the minutes that it takes."""

import math
from pathlib import Path

import torch
import trimesh

from suite.geometry.mesh import Mesh
from suite.io.images import write_image
from suite.io.meshes import save_mesh
from suite.io.videos import write_video
from suite.run import Run


def make_run(
    directory: Path, *, prompt: str = "a red <b>mushroom</b>", scale: float = 10.0, **measures
) -> Path:
    """A finished run with everything that a report can show."""
    config = {
        "_target_": "nerf.text_to_3d.TextTo3D",
        "seed": 3,
        "device": "auto",
        "out": str(directory),
        "prompt": {"_target_": "priors.prompts.Prompt", "text": prompt, "negative": ""},
        "guidance": {"_target_": "priors.guidance.sds.ScoreDistillation", "scale": scale},
    }
    with Run(directory, task="text_to_3d", config=config) as run:
        for step in range(40):
            run.log_metrics(step, loss=math.exp(-step / 10), opacity=0.2, step_seconds=0.15)
        run.log.info("a line <of> the log")
        fill_with_products(run.directory)
        run.statistics = {"steps": 40, "step_seconds": 0.15, "evaluations": 160}
        views = [{"azimuth": 0, "kind": "mushroom"}, {"azimuth": 180, "kind": "umbrella"}]
        run.write_report({"kind_right": 0.9375, "watertight": True, **measures, "views": views})
        run.finish()
    return Path(directory)


def fill_with_products(directory: Path) -> None:
    """Pictures, a video and a mesh."""
    sphere = trimesh.creation.icosphere(subdivisions=1, radius=0.4)
    mesh = Mesh(torch.tensor(sphere.vertices).float(), torch.tensor(sphere.faces))
    save_mesh(directory / "meshes/mesh.glb", mesh)
    save_mesh(directory / "meshes/mesh.ply", mesh)
    grey = torch.linspace(0, 1, 16).expand(3, 16, 16)
    write_image(directory / "images/contact_sheet.png", grey)
    write_image(directory / "images/preview_000020.png", grey)
    write_video(directory / "videos/turntable.mp4", grey.expand(4, 3, 16, 16))
