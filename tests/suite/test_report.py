"""The page of a run: whole, escaped, self-contained, and there whatever is missing."""

import base64
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from finished_runs import make_run

from suite import pages
from suite.io.images import write_image
from suite.io.videos import write_video
from suite.report import RunFiles, duration, write_html

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """A browser's view: tags must close in order; text and addresses are collected, decoded."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.texts, self.addresses = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data.strip())


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "a-red-mushroom-12345678")


@pytest.fixture(scope="module")
def page(directory) -> Page:
    return Page((directory / "report.html").read_text(encoding="utf-8"))


def test_text_from_the_user_is_shown_as_typed(page, directory):
    """A prompt with markup is a title, not markup; so is the log."""
    assert "a red <b>mushroom</b>" in page.texts
    assert "<b>mushroom" not in (directory / "report.html").read_text(encoding="utf-8")
    assert any("a line <of> the log" in text for text in page.texts)


def test_the_page_needs_nothing_beside_it(page, directory):
    """Everything shown is in the page, byte for byte; only links to the mesh files lead out of it."""
    shown = [address for address in page.addresses if address.startswith("data:")]
    kinds = {address.partition(";")[0] for address in shown}
    assert kinds == {"data:image/png", "data:video/mp4", "data:model/gltf-binary"}
    assert set(page.addresses) - set(shown) == {"meshes/mesh.glb", "meshes/mesh.ply"}
    model = next(address for address in shown if "gltf" in address)
    assert base64.b64decode(model.partition(",")[2]) == (directory / "meshes/mesh.glb").read_bytes()
    assert page.tags.count("model-viewer") == 1 and "script" in page.tags


def test_what_the_run_says_is_on_the_page(page):
    """Measures, cost, settings, environment, and how to run it again."""
    for text in ("0.9375", "kind right", "yes", "umbrella", "evaluations", "160", "scale", "torch"):
        assert text in page.texts, text
    assert "priors.guidance.sds.ScoreDistillation" in page.texts
    assert any("git checkout" in text or "pytest" in text for text in page.texts)


def test_an_unfinished_run_and_an_empty_directory_have_pages_too(tmp_path):
    """An empty directory is only a title; parts appear with their files; damaged ones are left out."""
    page = Page(write_html(tmp_path).read_text())
    assert tmp_path.name in page.texts and "model-viewer" not in page.tags and "script" not in page.tags
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 0, "loss": 2}\n{"step": 1, "loss": null}\n{"step": 2, "lo'
    )
    (tmp_path / "config.yaml").write_text("prompt: a horse\nlr: [1.0, 2.0]\n")
    (tmp_path / "report.json").write_text("{damaged")
    page = Page(write_html(str(tmp_path)).read_text())
    assert "a horse" in page.texts and "not finished" in " ".join(page.texts) and "svg" not in page.tags
    (tmp_path / "metrics.jsonl").write_text('{"step": 0, "loss": 2}\n{"step": 1, "loss": 1}\n')
    assert "svg" in Page(write_html(tmp_path).read_text()).tags


def test_a_part_that_fails_is_named_and_the_others_stand(tmp_path, caplog):
    """Measures of a shape that nobody foresaw do not keep a run from ending."""
    (tmp_path / "report.json").write_text(json.dumps({"measures": 7, "seconds": 3}))
    page = Page(write_html(tmp_path).read_text())
    assert any("This part could not be made" in text for text in page.texts)
    assert "Measures" in caplog.text and "Cost" in page.texts


def test_files_that_are_too_large_are_linked(directory):
    """With room for nothing, a picture and a model become links with their sizes."""
    inline = pages.Inliner(directory, file_mb=0)
    for shown in (
        inline.image(directory / "images/contact_sheet.png"),
        inline.video(directory / "videos/turntable.mp4"),
        inline.model(directory / "meshes/mesh.glb"),
    ):
        assert "data:" not in shown and 'href="' in shown and "KB" in shown
    once = pages.Inliner(directory, page_mb=1.5 * (directory / "meshes/mesh.glb").stat().st_size / 2**20)
    assert once.uri(directory / "meshes/mesh.glb") and not once.uri(directory / "meshes/mesh.glb")


def test_a_clip_is_shown_once(tmp_path):
    """The same clip as .mp4, .gif and .webp: the video plays, the others are links. A GIF alone is shown."""
    clip = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for name in ("clip.mp4", "clip.gif", "clip.webp", "other.gif"):
        write_video(tmp_path / "videos" / name, clip, 4)
    text = write_html(tmp_path).read_text()
    page = Page(text)
    assert page.tags.count("video") == 1 and page.tags.count("img") == 1
    assert 'href="videos/clip.gif"' in text and 'href="videos/clip.webp"' in text
    assert 'href="videos/other.gif"' not in text


def test_pictures_by_their_names(tmp_path):
    """What ends in a step number was made on the way; contact sheets and views are of the result. Where
    there is nothing else, the newest picture of the way is shown large too."""
    names = ["step_00100", "samples_000200", "contact_sheet", "views", "azimuth_120"]
    for name in names:
        write_image(tmp_path / f"images/{name}.png", torch.zeros(3, 4, 4))
    sheets, previews, others = RunFiles.read(tmp_path).pictures()
    assert [path.stem for path in sheets] == ["contact_sheet", "views"]
    assert [path.stem for path in previews] == ["samples_000200", "step_00100"]
    assert [path.stem for path in others] == ["azimuth_120"]
    assert Page(write_html(tmp_path).read_text()).tags.count("img") == 5
    for name in names[2:]:
        (tmp_path / f"images/{name}.png").unlink()
    assert Page(write_html(tmp_path).read_text()).tags.count("img") == 3


def test_a_run_is_called_after_what_was_asked_for(tmp_path):
    """A prompt, as text or in an object; a scene; else its directory."""
    for config, title in [
        ("prompt: a horse", "a horse"),
        ("prompt: {_target_: x.Prompt, text: a cow}", "a cow"),
        ("scene: {_target_: x.load, source: a red car}", "a red car"),
        ("steps: 3", tmp_path.name),
        ("[1, 2]", tmp_path.name),
    ]:
        (tmp_path / "config.yaml").write_text(config)
        assert RunFiles.read(tmp_path).title == title


def test_stages_have_their_own_costs_and_curves(tmp_path):
    report = {"seconds": 9, "coarse": {"steps": 5, "step_seconds": 0.5}, "measures": {"nested": {"a": 1}}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    rows = [{"step": k, "stage": stage, "loss": k} for stage in ("coarse", "fine") for k in range(3)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert RunFiles.read(tmp_path).cost == {"seconds": 9, "coarse: steps": 5, "coarse: step_seconds": 0.5}
    texts = Page(write_html(tmp_path).read_text()).texts
    assert "coarse: loss" in texts and "fine: loss" in texts and "nested" in texts


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (0.123456, "0.1235"),
        (3.0, "3"),
        (1e20, "1e+20"),
        (float("inf"), "inf"),
        ([1, 2.5], "1, 2.5"),
        ("<i>", "&lt;i&gt;"),
        ({"a<": 1}, "a&lt;: 1"),
    ],
)
def test_values_for_people(x, text):
    assert pages.value(x) == text


def test_durations_by_hand():
    assert [duration(x) for x in (0.5, 59, 200, 7500)] == ["0.5 s", "59 s", "3 min 20 s", "2 h 5 min"]


def test_the_viewer_can_stand_inside_a_page():
    """It holds no end tag of a script, and its licence note lies beside it."""
    source = (pages.ASSETS / "model-viewer.min.js").read_text(encoding="utf-8")
    assert "</script" not in source.lower() and "customElements.define" in source
    assert "Apache-2.0" in (pages.ASSETS / "LICENSES.md").read_text()
