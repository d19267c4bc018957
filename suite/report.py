"""report.html: everything that a run directory holds on one page that opens offline.

    what it is · 3D view and turntable · measures · pictures · curves · cost · settings · environment · again

Whatever is missing is left out; what cannot be read is named on the page, and never keeps a run from ending.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from suite import curves, pages
from suite.io.weights import write_atomically
from suite.run import read_metrics

if TYPE_CHECKING:
    from suite.run import Run

log = logging.getLogger(__name__)
SHEETS, PREVIEWS = r"contact|^views$", r"_\d{5,}$"  # names of pictures: of the result; of a step on the way
NOT_COST = ("task", "name", "configuration", "measures", "config", "environment")
LOG_LINES = 200


@dataclass(frozen=True)
class RunFiles:
    """What lies in a run directory, read as far as it can be.

    Attributes:
        directory: The run's.
        config: config.yaml; `report`: report.json; `environment`: environment.json; {} where there is none.
        metrics: The rows of metrics.jsonl.
    """

    directory: Path
    config: dict[str, Any]
    report: dict[str, Any]
    environment: dict[str, Any]
    metrics: list[dict]

    @staticmethod
    def read(directory: str | Path) -> "RunFiles":
        """Reads a run directory, finished or not."""
        directory = Path(directory)
        report = _plain(directory / "report.json", json.loads)
        environment = report.get("environment") or _plain(directory / "environment.json", json.loads)
        config = _plain(directory / "config.yaml", yaml.safe_load) or report.get("config") or {}
        path = directory / "metrics.jsonl"
        try:
            metrics = [row for row in read_metrics(path) if isinstance(row, dict)] if path.exists() else []
        except (OSError, UnicodeDecodeError) as error:
            log.warning("%s cannot be read: %s", path, error)
            metrics = []
        return RunFiles(directory, config, report, environment, metrics)

    @property
    def title(self) -> str:
        """The prompt, or what is read, or the name of the directory."""
        for key in ("prompt", "text", "scene"):
            found = self.config.get(key)
            if isinstance(found, Mapping):
                found = found.get("text") or found.get("source")
            if isinstance(found, str) and found:
                return found
        return self.directory.resolve().name

    @property
    def task(self) -> str:
        """As it is typed: "text_to_3d", "bench speed"."""
        return str(self.report.get("task") or self.directory.resolve().parent.name).replace("/", " ")

    @property
    def cost(self) -> dict[str, Any]:
        """Steps, seconds, evaluations, memory; those of a stage as "stage: name"."""
        found = {}
        for key, x in self.report.items():
            if key in NOT_COST:
                continue
            inner = {f"{key}: {name}": y for name, y in x.items()} if isinstance(x, Mapping) else {key: x}
            found |= {name: y for name, y in inner.items() if isinstance(y, int | float)}
        return found

    def files(self, folder: str, *suffixes: str) -> list[Path]:
        """Files of a folder, by name, those called mesh or turntable first."""
        found = [p for p in sorted((self.directory / folder).glob("*")) if p.suffix.lower() in suffixes]
        found = [p for p in found if p.is_file() and not p.name.startswith(".")]
        return sorted(found, key=lambda p: p.stem not in ("mesh", "turntable"))

    def pictures(self) -> tuple[list[Path], list[Path], list[Path]]:
        """Images: sheets of the finished result, those made while it ran, and the others."""
        images = self.files("images", *pages.IMAGES)
        sheets = [path for path in images if re.search(SHEETS, path.stem)]
        previews = [path for path in images if re.search(PREVIEWS, path.stem) and path not in sheets]
        return sheets, previews, [path for path in images if path not in sheets and path not in previews]


def write_html(run: "Run | Path | str") -> Path:
    """Writes report.html for a run directory and returns its path.

    Args:
        run: A `suite.run.Run`, or the directory of any run, finished or not.
    """
    files = RunFiles.read(getattr(run, "directory", run))
    inline = pages.Inliner(files.directory)
    parts: dict[str, Callable[[], str]] = {
        "": lambda: _head(files),
        "Result": lambda: _object(files, inline),
        "Measures": lambda: _measures(files),
        "Pictures": lambda: _pictures(files, inline),
        "Curves": lambda: _curves(files),
        "Cost": lambda: pages.tiles(files.cost) if files.cost else "",
        "Details": lambda: _details(files),
    }
    body = "".join(_guarded(title, build) for title, build in parts.items())
    path = files.directory / "report.html"
    write_atomically(path, pages.page(f"{files.title} · {files.task}", body))
    return path


def _guarded(title: str, build: Callable[[], str]) -> str:
    try:
        body = build()
    except Exception as error:  # a report must not fail a run that has just finished
        log.warning("The part '%s' of the report could not be made: %s", title or "Title", error)
        body = f'<p class="quiet">This part could not be made: {pages.escape(error)}</p>'
    return pages.section(title, body) if title else body


def _head(files: RunFiles) -> str:
    seconds = files.report.get("seconds")
    facts = [
        files.task,
        f"seed {files.config['seed']}" if "seed" in files.config else None,
        str(files.environment.get("started", ""))[:16].replace("T", " "),
        duration(seconds) if isinstance(seconds, int | float) else "not finished",
        files.environment.get("gpu") or files.environment.get("processor"),
    ]
    line = " · ".join(pages.escape(fact) for fact in facts if fact)
    return f'<header><h1>{pages.escape(files.title)}</h1><p class="quiet">{line}</p></header>'


def _object(files: RunFiles, inline: pages.Inliner) -> str:
    """The mesh to turn, beside it what shows it from all sides."""
    models = "".join(inline.model(path) for path in files.files("meshes", ".glb")[:4])
    videos = files.files("videos", *pages.VIDEOS)
    stems = {path.stem for path in videos}
    animations = files.files("videos", ".gif", ".webp")
    copies = [path for path in animations if path.stem in stems]  # of a video that is shown
    videos += [path for path in animations if path not in copies]
    beside = [inline.video(path) for path in videos[:8]]
    beside += [inline.image(path) for path in files.pictures()[0]] if models else []
    meshes = ", ".join(inline.link(path) for path in files.files("meshes", ".glb", ".obj", ".ply", ".stl"))
    links = f'<p class="quiet">Mesh files: {meshes}</p>' if meshes else ""
    if copies:
        links += f'<p class="quiet">Also as {", ".join(inline.link(path) for path in copies)}</p>'
    if not (models or beside or links):
        return ""
    stacks = "".join(f'<div class="stack">{stack}</div>' for stack in (models, "".join(beside)) if stack)
    return f'<div class="hero">{stacks}</div>{links}'


def _measures(files: RunFiles) -> str:
    measures = files.report.get("measures") or {}
    single = {k: x for k, x in measures.items() if not isinstance(x, Mapping | list)}
    shown = [pages.tiles(single)] if single else []
    for name, x in measures.items():
        if isinstance(x, list) and x and all(isinstance(row, Mapping) for row in x):
            head = list(dict.fromkeys(key for row in x for key in row))
            rows = [[row.get(key) for key in head] for row in x]
            shown.append(f"<h3>{pages.label(name)}</h3>{pages.columns(head, rows)}")
        elif isinstance(x, Mapping | list):
            shown.append(
                f"<h3>{pages.label(name)}</h3>{pages.pairs(x if isinstance(x, Mapping) else {name: x})}"
            )
    return "".join(shown)


def _pictures(files: RunFiles, inline: pages.Inliner) -> str:
    sheets, previews, others = files.pictures()
    beside_the_mesh = bool(files.files("meshes", ".glb"))
    shown = "" if beside_the_mesh else "".join(inline.image(path) for path in sheets)
    if not shown and not others:
        shown = "".join(inline.image(path) for path in previews[-1:])
    if others:
        shown += f'<div class="gallery">{"".join(inline.image(path) for path in others[:60])}</div>'
    if previews:
        strip = "".join(inline.image(path) for path in previews[:60])
        shown += f'<h3>While it ran</h3><div class="strip">{strip}</div>'
    return shown


def _curves(files: RunFiles) -> str:
    charts = [curves.chart(name, points) for name, points in curves.series(files.metrics).items()]
    return f'<div class="charts">{"".join(charts)}</div>' if charts else ""


def _details(files: RunFiles) -> str:
    parts = []
    if files.config:
        target = files.config.get("_target_", "")
        named = f'<p class="quiet">{pages.escape(target)}</p>' if target else ""
        parts.append(pages.details("Settings", named + pages.settings(files.config)))
    if files.environment:
        parts.append(pages.details("Environment", pages.pairs(files.environment)))
    parts.append(pages.details("How to run it again", _again(files), open_=True))
    path = files.directory / "log.txt"
    if path.exists():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        parts.append(pages.details("Log", f"<pre>{pages.escape(chr(10).join(lines))}</pre>"))
    return "".join(parts)


def _again(files: RunFiles) -> str:
    command = str(files.environment.get("command") or "")
    command = command.replace("__main__.py", "python -m suite", 1)
    commit = str(files.environment.get("commit") or "")
    lines = [f"git checkout {commit.removesuffix('+changes')}"] if commit else []
    lines += [command] if command else []
    note = "The same command finds this run complete; delete its directory, or add out=DIR, to run it again."
    if commit.endswith("+changes"):
        note += " The source had uncommitted changes when it ran."
    return f"<pre>{pages.escape(chr(10).join(lines))}</pre><p class='quiet'>{note}</p>" if lines else note


def duration(seconds: float | int) -> str:
    """12 s, 3 min 20 s, 2 h 5 min."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{seconds:.3g} s"
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"


def _plain(path: Path, parse: Callable[[str], Any]) -> dict:
    """A mapping from a file; {} if it is not there or cannot be read, with a warning."""
    if not path.exists():
        return {}
    try:
        found = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        log.warning("%s cannot be read: %s", path, error)
        return {}
    return found if isinstance(found, dict) else {}
