"""From the furniture package to a folder of objects: catalogues in every wrapping, the table, the task."""

import csv
import io
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from suite.errors import UserError
from suite.run import Run
from suite.toyworld import sweethome
from suite.toyworld.objects import kinds
from suite.toyworld.prepare_objects import CHOICES, PrepareObjects, read_choices
from suite.toyworld.real_objects import load_objects

TURNED = "0 0 1 0 1 0 -1 0 0"  # x' = z, z' = -x
PROPERTIES = r"""# a comment # with a hash
id=Tiny
license=Public domain

id#1=Tiny#plank
name#1=Plank
category#1=Living room
model#1=/tiny/plank/plank.obj
creator#1=Ren\u00e9e
width#1=20
height#1=10
depth#1=50

id#2=Tiny#post
name#2=Post
category#2=Exterior
model#2=/tiny/post/post.obj
modelRotation#2=0 0 1 0 1 0 -1 0 0
creator#2=Somebody
width#2=10
height#2=100
depth#2=20
"""
TABLE = """source,keep,caption,azimuth_deg,tilt_deg,glass,front
Tiny#plank,yes,wooden plank,0,90,show,no
Tiny#post,yes,red post,90,0,show,yes
Tiny#bottle,no,,,,,
Other#chair,yes,chair,0,0,show,yes
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """An unpacked catalogue of two boxes; the post's file is half as high as the catalogue says."""
    folder = tmp_path / "catalogue"
    for name, size in {"plank": (2, 1, 5), "post": (2, 5, 1)}.items():
        box = trimesh.creation.box(size)
        lines = [f"v {x} {y} {z}" for x, y, z in box.vertices]
        lines += ["f " + " ".join(str(i + 1) for i in face) for face in box.faces]
        (folder / "tiny" / name).mkdir(parents=True)
        material = "newmtl paint\nKd 1 0 0\n"
        (folder / "tiny" / name / f"{name}.mtl").write_text(material)
        text = "\n".join([f"mtllib {name}.mtl", *lines[:8], "usemtl paint", *lines[8:]])
        (folder / "tiny" / name / f"{name}.obj").write_text(text)
    (folder / sweethome.PROPERTIES).write_text(PROPERTIES, encoding="latin-1")
    return folder


@pytest.fixture
def table(tmp_path: Path) -> str:
    (tmp_path / "table.csv").write_text(TABLE)
    return str(tmp_path / "table.csv")


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder))
    return path


def debian_package(
    file: Path, path: Path, members: tuple[str, ...] = ("control.tar.xz", "data.tar.xz")
) -> Path:
    """An ar archive by hand: 60-byte headers, members padded to even lengths."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        archive.add(file, "./usr/share/sweethome3d/furniture/" + file.name)
    contents = {"debian-binary": b"2.0", **{name: b"odd" for name in members}}
    contents |= {name: data.getvalue() for name in members if name.startswith("data")}
    with open(path, "wb") as deb:
        deb.write(b"!<arch>\n")
        for name, content in contents.items():
            deb.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode())
            deb.write(content + b"\n" * (len(content) % 2))
    return path


# ---- catalogues


def test_entries_of_a_catalogue(catalogue):
    """Every field as the properties say, escapes decoded, the licence as SPDX."""
    plank, post = sweethome.read_catalogue(catalogue)
    assert (plank.id, plank.name, plank.category) == ("Tiny#plank", "Plank", "living room")
    assert (plank.creator, plank.licence) == ("Renée", "CC0-1.0")
    np.testing.assert_array_equal(plank.rotation, np.eye(3))
    np.testing.assert_array_equal(post.rotation @ [1, 2, 3], [3, 2, -1])
    np.testing.assert_array_equal(post.size, [10, 100, 20])
    assert post.path.is_file()


@pytest.mark.parametrize(
    "words, licence",
    [
        ("Creative Commons Attribution 3.0 license", "CC-BY-3.0"),
        ("Creative Commons Attribution 3.0 United States license (C) somebody", "CC-BY-3.0-US"),
        ("All wrongs reserved", "All wrongs reserved"),
    ],
)
def test_licences(catalogue, words, licence):
    """The package's wordings become SPDX; unknown ones stay as they are."""
    path = catalogue / sweethome.PROPERTIES
    path.write_text(path.read_text(encoding="latin-1").replace("Public domain", words), encoding="latin-1")
    assert {model.licence for model in sweethome.read_catalogue(catalogue)} == {licence}


def test_every_wrapping_holds_the_same(catalogue, tmp_path, monkeypatch):
    """Folder, .sh3f, a folder or zip of .sh3f, .deb, and the installed package: the same models."""
    (tmp_path / "package").mkdir()
    sh3f = zipped(catalogue, tmp_path / "package" / "Tiny.sh3f")
    outer = zipped(tmp_path / "package", tmp_path / "outer.zip")
    deb = debian_package(sh3f, tmp_path / "furniture.deb")
    for k, source in enumerate([catalogue, sh3f, tmp_path / "package", outer, deb]):
        found = sweethome.models(source, tmp_path / f"scratch{k}")
        assert [model.id for model in found] == ["Tiny#plank", "Tiny#post"]
        assert all(model.path.is_file() for model in found)
    monkeypatch.setattr(sweethome, "INSTALLED", tmp_path / "package")
    assert len(sweethome.models(None, tmp_path / "scratch")) == 2


def test_wrong_sources_are_named(tmp_path, monkeypatch):
    """Each says what is wrong with the source and what to type."""
    monkeypatch.setattr(sweethome, "INSTALLED", tmp_path / "none")
    with pytest.raises(UserError, match="apt-get download sweethome3d-furniture` and source=FILE.deb"):
        sweethome.models(None, tmp_path)
    with pytest.raises(UserError, match="There is no .*gone.deb: source is"):
        sweethome.models(tmp_path / "gone.deb", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty holds no furniture catalogue"):
        sweethome.models(tmp_path / "empty", tmp_path)
    for name, reason in {"a.sh3f": "not a zip file", "a.deb": "it is not a Debian package"}.items():
        (tmp_path / name).write_bytes(b"nothing like it")
        with pytest.raises(
            UserError, match=f"{name} is not a .deb, .sh3f or zip that can be unpacked: .*{reason}"
        ):
            sweethome.models(tmp_path / name, tmp_path)
    (tmp_path / "x.sh3f").write_bytes(b"")
    debian_package(tmp_path / "x.sh3f", tmp_path / "b.deb", members=("control.tar.xz",))
    with pytest.raises(UserError, match="it has no data.tar"):
        sweethome.models(tmp_path / "b.deb", tmp_path)


# ---- the table


def test_the_shipped_table():
    """All 820 models are decided on; at least 200 are kept, each with its own plain caption, none of which is
    what toyworld calls one of its procedural kinds."""
    with open(CHOICES, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({row["source"] for row in rows}) == 820
    captions = [choice.caption for choice in read_choices(CHOICES)]
    assert len(captions) == len(set(captions)) >= 200
    assert all(
        word.isalpha() for caption in captions for word in caption.replace("-", " ").replace("'", "").split()
    )
    assert captions == [caption.lower() for caption in captions]
    procedural = {name for kind in kinds().values() for name in (kind.name, *kind.synonyms)}
    assert not procedural & set(captions)
    assert {"horse", "teddy bear", "motorcycle", "sneakers", "deck chair", "radio"} <= set(captions)


def test_mistakes_in_a_table_are_named(tmp_path):
    """A missing file, missing columns, captions given twice."""
    with pytest.raises(UserError, match="none.csv is not a table with the columns source, keep, caption"):
        read_choices(tmp_path / "none.csv")
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="is not a table with the columns source, keep, caption: 'keep'"):
        read_choices(path)
    path.write_text("source,keep,caption\na,yes,horse\nb,yes,horse\n")
    with pytest.raises(UserError, match="has the caption 'horse' more than once"):
        read_choices(path)


# ---- the task


def test_the_folder_that_is_made(catalogue, table, tmp_path):
    """Sizes by hand: the plank (2 x 1 x 5 lying, its length to the front) stands up 5 high with its top to the
    front; the post, 10 x 100 x 20 in its catalogue, is turned by 90 degrees. What is not in the source is left out."""
    with Run(tmp_path / "run", task="prepare_objects") as run:
        PrepareObjects(source=str(catalogue), choices=table).run(run)
    post, plank = load_objects(run.directory)
    assert (post.id, post.caption, post.category, post.licence) == (
        "red_post",
        "red post",
        "exterior",
        "CC0-1.0",
    )
    assert (plank.creator, plank.source, plank.front, post.front) == ("Renée", "Tiny#plank", False, True)
    torch.testing.assert_close(plank.mesh.bounds[1], torch.tensor([0.1, 0.2, 0.5]))
    torch.testing.assert_close(post.mesh.bounds[1], torch.tensor([0.05, 0.1, 0.5]))
    torch.testing.assert_close(post.mesh.vertex_colors[0], torch.tensor([1.0, 0, 0]))
    with open(run.directory / "LICENSES.csv", newline="") as file:
        counts = Counter(row["licence"] for row in csv.DictReader(file))
    assert counts == {"CC0-1.0": 2}
    assert (run.directory / "images" / "contact_sheet.png").is_file()


def test_a_stopped_preparation_goes_on(catalogue, table, tmp_path):
    """Meshes that are there already are not made again."""
    for _ in range(2):
        with Run(tmp_path / "run", task="prepare_objects") as run:
            PrepareObjects(source=str(catalogue), choices=table).run(run)
        times = [path.stat().st_mtime_ns for path in sorted(run.directory.glob("*.npz"))]
        (run.directory / "captions.csv").unlink()
        if _ == 0:
            first = times
    assert times == first and len(times) == 2


def test_wrong_options_are_named(catalogue, tmp_path):
    """Sizes that make no sense, and a source none of whose models is wanted."""
    with pytest.raises(ValueError, match="max_edge > 0, max_faces >= 100; got 0.0, 30000"):
        PrepareObjects(max_edge=0.0)
    with Run(tmp_path / "run", task="prepare_objects") as run:
        with pytest.raises(UserError, match="None of the 2 models in the source is in the table"):
            PrepareObjects(source=str(catalogue)).run(run)
