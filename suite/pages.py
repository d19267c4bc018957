"""Pieces of pages that open offline: every text escaped, every file inlined, light and dark.

The style, the frame and the 3D viewer lie in suite/assets. What is too large to be inlined is linked.
"""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape as _escape
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

ASSETS = Path(__file__).parent / "assets"
KINDS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".glb": "model/gltf-binary",
}
IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg")
VIDEOS = (".mp4", ".webm")


def page(title: str, body: str) -> str:
    """A whole page. The 3D viewer, a megabyte, is only in pages that show a model."""
    script = ""
    if "<model-viewer" in body:
        source = (ASSETS / "model-viewer.min.js").read_text(encoding="utf-8")
        script = f'<script type="module">\n{source}\n</script>'
    frame = Template((ASSETS / "page.html").read_text(encoding="utf-8"))
    style = (ASSETS / "page.css").read_text(encoding="utf-8")
    return frame.substitute(title=escape(title), style=style, body=body, script=script)


def escape(text: Any) -> str:
    """Any text as it reads, in HTML or in an attribute."""
    return _escape(str(text), quote=True)


def label(name: str) -> str:
    """An identifier as words."""
    return escape(name.replace("_", " ").strip())


def value(x: Any) -> str:
    """A value for people: four digits, yes and no, a dash for nothing."""
    if x is None or x == "":
        return "–"
    if isinstance(x, bool):
        return "yes" if x else "no"
    if isinstance(x, float):
        whole = x.is_integer() and abs(x) < 1e15
        return f"{int(x)}" if whole else f"{x:.4g}" if math.isfinite(x) else escape(x)
    if isinstance(x, list | tuple):
        return ", ".join(map(value, x)) or "–"
    if isinstance(x, Mapping):
        return ", ".join(f"{escape(k)}: {value(v)}" for k, v in x.items()) or "–"
    return escape(x)


class Inliner:
    """Turns files into data URIs while they fit.

    Args:
        folder: Where the page will lie; links are relative to it.
        file_mb, page_mb: The most that one file, and all of them, may have, in MiB.
    """

    def __init__(self, folder: Path, *, file_mb: float | int = 12, page_mb: float | int = 60) -> None:
        self.folder, self.each, self.left = folder.resolve(), file_mb * 2**20, page_mb * 2**20

    def uri(self, path: Path) -> str | None:
        """The file as a data URI, or None if it is too large."""
        size = path.stat().st_size
        if size > min(self.each, self.left):
            return None
        self.left -= size
        data = base64.b64encode(path.read_bytes()).decode()
        return f"data:{KINDS[path.suffix.lower()]};base64,{data}"

    def link(self, path: Path) -> str:
        """A link to the file, with its size."""
        where = path.resolve()
        inside = where.is_relative_to(self.folder)
        target = quote(where.relative_to(self.folder).as_posix()) if inside else where.as_uri()
        return f'<a href="{escape(target)}">{escape(path.name)}</a> ({size_text(path.stat().st_size)})'

    def image(self, path: Path, caption: str = "") -> str:
        """A picture; small ones keep their pixels sharp when they are enlarged."""
        source = self.uri(path)
        if source is None:
            return f'<figure class="card">{self.link(path)}</figure>'
        kind = ' class="small"' if (_png_width(path) or 1000) < 200 else ""
        caption = caption or path.stem.replace("_", " ")
        return (
            f'<figure><img{kind} src="{source}" alt="{escape(caption)}" loading="lazy">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )

    def video(self, path: Path, caption: str = "") -> str:
        """A video that plays by itself, over and over."""
        if path.suffix.lower() in IMAGES:
            return self.image(path, caption)
        source = self.uri(path)
        if source is None:
            return f'<figure class="card">{self.link(path)}</figure>'
        return (
            f'<figure><video src="{source}" controls autoplay loop muted playsinline></video>'
            f"<figcaption>{escape(caption or path.stem.replace('_', ' '))}</figcaption></figure>"
        )

    def model(self, path: Path, caption: str = "") -> str:
        """An interactive view of a GLB."""
        source = self.uri(path)
        if source is None:
            return f'<figure class="card">{self.link(path)}</figure>'
        caption = caption or f"{path.name}: drag to turn, scroll to zoom"
        return (
            f'<figure><model-viewer src="{source}" alt="{escape(caption)}" camera-controls touch-action="pan-y" '
            'interaction-prompt="none" camera-orbit="35deg 75deg auto" min-field-of-view="5deg" '
            'environment-image="neutral" tone-mapping="neutral" shadow-intensity="0.5" exposure="0.9">'
            f"</model-viewer><figcaption>{escape(caption)}</figcaption></figure>"
        )


def size_text(size: int) -> str:
    """Bytes as KB or MB."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} KB"


def tiles(numbers: Mapping[str, Any]) -> str:
    """Single values, large."""
    cells = (f'<div class="tile"><b>{value(x)}</b><span>{label(k)}</span></div>' for k, x in numbers.items())
    return f'<div class="tiles">{"".join(cells)}</div>'


def pairs(rows: Mapping[str, Any]) -> str:
    """Names and values, one pair a row."""
    cells = (f"<tr><td>{label(k)}</td><td>{value(x)}</td></tr>" for k, x in rows.items())
    return f'<div class="scroll"><table>{"".join(cells)}</table></div>'


def columns(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table with a row of titles; the first column names the rows."""
    titles = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{value(x)}</td>' for x in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table class="columns"><tr>{titles}</tr>{body}</table></div>'


def settings(config: Mapping[str, Any]) -> str:
    """A configuration as a table: objects are rows of their class, followed by their options."""
    return f'<div class="scroll"><table>{"".join(_settings_rows(config, 0))}</table></div>'


def _settings_rows(node: Mapping[str, Any], depth: int) -> Iterable[str]:
    plain = {k: x for k, x in node.items() if not _is_object(x) and k != "_target_"}
    for key, x in plain.items():
        yield f'<tr><td class="depth{min(depth, 3)}">{escape(key)}</td><td>{value(x)}</td></tr>'
    for key, x in node.items():
        if not _is_object(x):
            continue
        parts = dict(enumerate(x)) if isinstance(x, list) else x
        kind = value(x.get("_target_")) if isinstance(x, Mapping) and "_target_" in x else ""
        head = f'<tr class="head"><td class="depth{min(depth, 3)}">{escape(key)}</td><td>{kind}</td></tr>'
        yield head
        yield from _settings_rows(parts, depth + 1)


def _is_object(x: Any) -> bool:
    return (isinstance(x, Mapping) and bool(x)) or (isinstance(x, list) and any(map(_is_object, x)))


def details(summary: str, body: str, *, open_: bool = False) -> str:
    """A part that can be folded away."""
    return f"<details{' open' if open_ else ''}><summary>{escape(summary)}</summary>{body}</details>"


def section(title: str, body: str) -> str:
    """A titled part; nothing if it is empty."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def _png_width(path: Path) -> int | None:
    with open(path, "rb") as file:
        head = file.read(24)
    return int.from_bytes(head[16:20], "big") if head[1:4] == b"PNG" else None
