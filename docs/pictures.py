"""The pictures of README.md, made again.

python docs/pictures.py toyworld                       docs/toyworld.png
python docs/pictures.py views_to_3d RUN RUN ...        docs/views_to_3d.png, held-out views of finished runs
python docs/pictures.py text_to_3d RUN RUN ...         docs/text_to_3d.png, the meshes of finished runs
python docs/pictures.py pocket_prior RUN               docs/pocket_prior.png, of a run of evaluate_prior
python docs/pictures.py pocket_zero123 RUN             docs/pocket_zero123.png, of a run of evaluate_novel_view
python docs/pictures.py real_pictures RUN RUN ...      docs/real_pictures.png, of runs of image_to_3d: picture and mesh
python docs/pictures.py clips RUN RUN ...              docs/clips.webp, of runs of text_to_video or image_to_video
python docs/pictures.py characters RUN RUN ...         docs/characters.webp, of animate_character: still, poses, clip
python docs/pictures.py stills FOLDER                  what those began with: emoji of Debian's fonts-noto-color-emoji
                                                       and scikit-image's photograph of a cup, cut out
"""

import sys
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import skimage.data
import torch
import yaml
from PIL import Image, ImageDraw, ImageFont
from torch.nn import functional as F

from suite.geometry.cameras import Cameras, orbit_path
from suite.geometry.rasterizer import render_mesh
from suite.io.images import contact_sheet, read_image, to_bytes
from suite.io.meshes import load_mesh
from suite.io.videos import read_video, write_video
from suite.toyworld import characters
from suite.toyworld.objects import ObjectSpec, Surface, build, kinds
from suite.toyworld.paints import COLORS, PATTERNS
from suite.toyworld.poses import POSES
from suite.toyworld.render import render
from suite.types import Images

HERE = Path(__file__).parent
AZIMUTH_DEG, ELEVATION_DEG = 35.0, 20.0
EMOJI_FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
EMOJI = {"mushroom": "🍄", "car": "🚗", "teapot": "🫖", "chair": "🪑", "burger": "🍔"}


def toyworld(size: int = 96, columns: int = 10) -> Images:
    """Every kind of object in some colour and pattern, then people, as `suite.toyworld` renders them."""
    surfaces = [surface for surface, _ in objects()]
    random = np.random.default_rng(3)
    places = -len(surfaces) % columns + columns  # people fill the last row of objects, and one more
    people = [
        characters.surface(characters.random_outfit(random), pose(0.3))
        for pose in islice(cycle(POSES.values()), places)
    ]
    return torch.cat([shown(surface, size) for surface in (*surfaces, *people)])


def objects() -> list[tuple[Surface, str]]:
    """One of each kind, with its prompt."""
    colors = [color for color in COLORS if color not in ("black", "white", "grey")]
    specs = [
        ObjectSpec(
            kind, colors[(4 * k) % len(colors)], PATTERNS[(0, 1, 0, 2, 0, 3)[k % 6]], option=k % 4 == 1
        )
        for k, kind in enumerate(kinds())
    ]
    return [(build(spec), spec.prompt) for spec in specs]


def shown(surface: Surface, size: int) -> Images:
    """A surface from beside its front."""
    camera = Cameras.orbit(AZIMUTH_DEG, ELEVATION_DEG, height=size, width=size)
    picture = render(
        surface,
        camera.world_from_camera.numpy(),
        camera.fov_deg.numpy(),
        height=size,
        width=size,
        supersample=3,
    )
    return torch.from_numpy(picture.images).movedim(-1, 1)


def views_to_3d(runs: list[Path]) -> torch.Tensor:
    """The first row of each run's held-out views: rendered, true, rendered, true."""
    sheets = [read_image(run / "images" / "held_out.png").rgb[0] for run in runs]
    return torch.cat([sheet[:, : (sheet.shape[2] - 2) // 4 + 2] for sheet in sheets], dim=1)


def pocket_prior(run: Path) -> torch.Tensor:
    """Samples beside true renders: every other row of the run's sheet."""
    sheet = read_image(run / "images" / "samples_and_truth.png").rgb[0]
    rows = sheet[:, :-2].chunk(8, dim=1)  # without the last border, eight of equal height
    return torch.cat(rows[::2], dim=1)


def pocket_zero123(run: Path) -> torch.Tensor:
    """Views of held-out things: the run's sheet."""
    return read_image(run / "images" / "views.png").rgb[0]


def text_to_3d(runs: list[Path], size: int = 128, views: int = 6) -> tuple[Images, list[str]]:
    """A row a run: its mesh from all around; and its prompt."""
    cameras = orbit_path(views, ELEVATION_DEG, height=size, width=size)
    rows = [render_mesh(load_mesh(run / "meshes" / "mesh.glb"), cameras).images for run in runs]
    prompts = [yaml.safe_load((run / "config.yaml").read_text())["prompt"]["text"] for run in runs]
    return torch.cat(rows), [label for prompt in prompts for label in (prompt, *[""] * (views - 1))]


def real_pictures(runs: list[Path], size: int = 128, views: int = 6) -> Images:
    """A row a run: the picture that it was given, and its mesh from the picture's side all around."""
    rows = []
    for run in runs:
        picture = read_image(run / "images" / "picture.png").rgb
        rows.append(F.interpolate(picture, (size, size), mode="bilinear", antialias=True).clamp(0, 1))
        mesh = load_mesh(run / "meshes" / "mesh.glb")
        rows.append(render_mesh(mesh, orbit_path(views, ELEVATION_DEG, height=size, width=size)).images)
    return torch.cat(rows)


def stills(folder: Path) -> None:
    """Emoji with transparency, and a cup on its saucer, outlined by two ellipses."""
    folder.mkdir(parents=True, exist_ok=True)
    font = ImageFont.truetype(EMOJI_FONT, 109)  # the one size of its pictures
    for name, character in EMOJI.items():
        image = Image.new("RGBA", (136, 128))
        ImageDraw.Draw(image).text((0, 0), character, font=font, embedded_color=True)
        image.save(folder / f"{name}.png")
    photograph = Image.fromarray(skimage.data.coffee())
    outline = Image.new("L", photograph.size)
    for (x, y), (a, b), clockwise_deg in (((279, 229), (203, 155), 12), ((290, 107), (116, 89), 0)):
        ellipse = Image.new("L", photograph.size)
        ImageDraw.Draw(ellipse).ellipse((x - a, y - b, x + a, y + b), fill=255)
        outline.paste(255, mask=ellipse.rotate(-clockwise_deg, center=(x, y)))
    photograph.putalpha(outline)
    photograph.save(folder / "cup.png")


def playing(runs: list[Path], file: str, columns: int, frames: int = 16, scale: int = 2) -> Images:
    """The videos of runs beside and below each other: frames of one clip."""
    videos = [read_video(run / "videos" / file, count=frames).frames for run in runs]
    rows = [torch.cat(videos[k : k + columns], dim=-1) for k in range(0, len(videos), columns)]
    return F.interpolate(torch.cat(rows, dim=-2), scale_factor=scale, mode="nearest")


def save(name: str, sheet: torch.Tensor, colors: int = 192) -> None:
    """As a PNG with a palette, a third of the size of a full one."""
    image = Image.fromarray(to_bytes(sheet)).quantize(colors, dither=Image.Dither.NONE)
    image.save(HERE / f"{name}.png", optimize=True)
    print(HERE / f"{name}.png", (HERE / f"{name}.png").stat().st_size // 1024, "KiB")


if __name__ == "__main__":
    what, runs = sys.argv[1], [Path(word) for word in sys.argv[2:]]
    if what == "toyworld":
        save(what, contact_sheet(toyworld(), columns=10))
    elif what == "views_to_3d":
        save(what, views_to_3d(runs))
    elif what == "pocket_prior":
        save(what, pocket_prior(*runs))
    elif what == "pocket_zero123":
        save(what, pocket_zero123(*runs))
    elif what == "real_pictures":
        save(what, contact_sheet(real_pictures(runs), columns=7))
    elif what in ("clips", "characters"):
        file, columns = {"clips": ("clip.webp", 5), "characters": ("beside.mp4", 2)}[what]
        write_video(HERE / f"{what}.webp", playing(runs, file, columns), 8)
    elif what == "stills":
        stills(*runs)
    else:
        images, labels = text_to_3d(runs)
        save(what, contact_sheet(images, columns=6, labels=labels))
