"""The models of the Debian package `sweethome3d-furniture`: 820, under CC0 or CC-BY 3.0, in five catalogues.

A catalogue (.sh3f) is a zip of OBJ models and a properties file that names them. A source may be the
installed package's folder, the .deb, one .sh3f, a zip of these, or catalogues already unpacked.
"""

import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from suite.errors import UserError

INSTALLED = Path("/usr/share/sweethome3d/furniture")
PROPERTIES = "PluginFurnitureCatalog.properties"
LICENCES = {  # how the catalogues' words begin -> SPDX
    "Public domain": "CC0-1.0",
    "Creative Commons Attribution 3.0 United States": "CC-BY-3.0-US",
    "Creative Commons Attribution 3.0": "CC-BY-3.0",
}


@dataclass(frozen=True)
class Model:
    """One entry of a catalogue. `size` is width, height and depth (x, y, z of the file, y up) in cm."""

    id: str
    name: str
    category: str
    creator: str
    licence: str
    path: Path
    rotation: Float[ndarray, "3 3"]
    size: Float[ndarray, "3"]


def models(source: str | Path | None, scratch: Path) -> list[Model]:
    """All models of a source; archives are unpacked below `scratch`.

    Raises:
        UserError: The package is not installed and no source is given, or the source holds no catalogue.
    """
    if source is None and not INSTALLED.is_dir():
        raise UserError(
            "The package sweethome3d-furniture is not installed. Type `apt-get install sweethome3d-furniture`"
            ", or `apt-get download sweethome3d-furniture` and source=FILE.deb."
        )
    source = Path(source or INSTALLED).expanduser()
    if not source.exists():
        raise UserError(f"There is no {source}: source is the package's folder, its .deb, a .sh3f or a zip.")
    catalogues = sorted(_catalogues(source, scratch))
    if not catalogues:
        raise UserError(f"{source} holds no furniture catalogue (.sh3f, or a folder with {PROPERTIES}).")
    return [model for folder in catalogues for model in read_catalogue(folder)]


def read_catalogue(folder: Path) -> list[Model]:
    """The models that a catalogue's properties name, in their order."""
    header: dict[str, str] = {}
    entries: dict[int, dict[str, str]] = {}
    for line in (folder / PROPERTIES).read_text(encoding="latin-1").splitlines():
        key, equals, value = line.partition("=")
        name, hash_, number = key.strip().partition("#")
        if equals and not key.startswith("#"):
            value = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), value.strip())
            (entries.setdefault(int(number), {}) if hash_ else header)[name] = value
    words = header.get("license", "")
    licence = next((spdx for start, spdx in LICENCES.items() if words.startswith(start)), words)
    return [_model(folder, licence, entries[number]) for number in sorted(entries)]


def _model(folder: Path, licence: str, entry: dict[str, str]) -> Model:
    rotation = np.array(entry.get("modelRotation", "1 0 0 0 1 0 0 0 1").split(), float).reshape(3, 3)
    size = np.array([float(entry[key]) for key in ("width", "height", "depth")])
    path = folder / entry["model"].lstrip("/")
    return Model(
        entry["id"], entry["name"], entry["category"].lower(), entry["creator"], licence, path, rotation, size
    )


def _catalogues(source: Path, scratch: Path) -> Iterator[Path]:
    """Folders with a properties file, found in or unpacked from the source."""
    if source.is_dir():
        yield from (path.parent for path in source.rglob(PROPERTIES))
        for path in sorted(source.rglob("*.sh3f")):
            yield from _catalogues(path, scratch)
        return
    folder = scratch / source.stem
    try:
        if source.suffix == ".deb":
            _unpack_deb(source, folder)
        else:
            with zipfile.ZipFile(source) as archive:
                archive.extractall(folder)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise UserError(f"{source} is not a .deb, .sh3f or zip that can be unpacked: {error}") from error
    yield from _catalogues(folder, folder / "catalogues")


def _unpack_deb(source: Path, folder: Path) -> None:
    """The .sh3f files of a Debian package: an ar archive with the files in data.tar.*."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(source, "rb") as file:
        with tarfile.open(fileobj=_member(file, b"data.tar"), mode="r|*") as archive:
            for entry in archive:
                if entry.isfile() and entry.name.endswith(".sh3f"):
                    (folder / Path(entry.name).name).write_bytes(archive.extractfile(entry).read())


def _member(file: BinaryIO, start: bytes) -> BinaryIO:
    """The file, placed at the data of the first ar member whose name begins with `start`."""
    if file.read(8) != b"!<arch>\n":
        raise ValueError("it is not a Debian package")
    while len(header := file.read(60)) == 60:
        if header.startswith(start):
            return file
        size = int(header[48:58])
        file.seek(size + size % 2, 1)
    raise ValueError(f"it has no {start.decode()}")
