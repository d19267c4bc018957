"""What README.md and CONTRIBUTING.md show exists: commands compose, links lead somewhere, the examples work."""

import importlib.util
import inspect
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hydra.types import RunMode

from suite.__main__ import parse
from suite.compose import Composer, tasks
from suite.config import build
from suite.diffusion.samplers import ddim, starting_noise
from suite.execute import resolve
from suite.io.images import read_image, write_image
from suite.options import locate, options_of
from suite.rng import generator
from suite.toyworld.kinds import registry
from suite.toyworld.objects import assemble, painted
from suite.toyworld.render import render

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PAGES = ("README.md", "CONTRIBUTING.md")
PLACEHOLDERS = {"TASK", "RUN", "FILE", "FOLDER"}


def blocks(page: str, language: str = "") -> list[str]:
    """The fenced blocks of a page in a language; "" is those of none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    return [text for kind, text in found if kind == language]


def commands() -> list[str]:
    """Every `suite ...` command in the blocks and in code within lines."""
    found = []
    for page in PAGES:
        lines = [
            line.strip()
            for language in ("", "bash", "sh")
            for b in blocks(page, language)
            for line in b.split("\n")
        ]
        prose = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
        lines += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]
        found += [line for line in lines if re.match(r"(\.venv/bin/)?suite [a-zA-Z]", line)]
    return sorted(set(found))


@pytest.mark.parametrize("line", commands())
def test_commands_compose(line):
    """Every command names a task of `configs/`, and each of its words an option or a choice of that task."""
    words = shlex.split(line, comments=True)[1:]
    if words[0] in PLACEHOLDERS:
        return
    words = [word for word in words if word not in ("...", "&&") and "=..." not in word]
    command = parse([word for word in words if word not in examples()])
    with Composer(task=command.task) as composer:
        own = [word for word in command.words if word not in examples()]
        words = own + composer.positional(command.positional)
        if "multirun" in command.flags:
            words = [re.sub(r"=([^,\[]+),.*", r"=\1", word) for word in words]
        if "help" in command.flags or not words:
            composer.unresolved(words)
        else:
            resolve(composer.config(words))


def examples() -> list[str]:
    """Words that choose what only the examples of CONTRIBUTING.md define."""
    names = re.findall(
        r"^`configs/(\w+)/(\w+)\.yaml`", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE
    )
    return [f"{group}={name}" for group, name in names] + [
        "guidance.scael=10",
        "guidance.scale=10",
        "prior.path=PICTURE.png",
    ]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """Every relative link and picture is a file; so is every path of the repository in code within lines."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text) + re.findall(r'src="([^":]+)"', text)
    paths = re.findall(r"`((?:suite|priors|nerf|video|configs|tests|notebooks|docs)/[\w./-]*)`", text)
    defined = re.findall(r"^.*?`([\w/.]+\.(?:py|yaml))`$", text, flags=re.MULTILINE)
    assert not [path for path in links + paths if path not in defined and not (ROOT / path).exists()]


@pytest.fixture
def example(monkeypatch):
    """Imports one of CONTRIBUTING.md's examples, and gives its YAML: example("priors.guidance.estimate")."""

    def load(name: str) -> dict:
        text = (ROOT / "CONTRIBUTING.md").read_text()
        path = name.replace(".", "/")
        code = re.search(rf"`{path}\.py`\n\n```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)[1]
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader=None))
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(code, f"{path}.py", "exec"), vars(module))
        parent, _, last = name.rpartition(".")
        monkeypatch.setattr(importlib.import_module(parent), last, module, raising=False)
        values = re.search(rf"(# [^\n]*\n_target_: {name}\..*?)^```", text, flags=re.MULTILINE | re.DOTALL)[1]
        return yaml.safe_load(values)

    return load


def contract(path: str, parameters: list[str]) -> list:
    """The tests of a file whose arguments are exactly these."""
    spec = importlib.util.spec_from_file_location("contract", TESTS / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [f for name, f in vars(module).items() if name.startswith("test_") and callable(f)]
    found = [f for f in tests if list(inspect.signature(f).parameters) == parameters]
    assert len(found) >= 3
    return found


def test_the_example_of_a_guidance_keeps_the_contract(example, tmp_path):
    """The guidance of CONTRIBUTING.md, as it stands there, passes the contract of configs/guidance."""
    file = tmp_path / "estimate.yaml"
    file.write_text(yaml.safe_dump(example("priors.guidance.estimate")))
    for test in contract("priors/guidance/test_contract.py", ["file", "prior"]):
        test(file, build(yaml.safe_load((ROOT / "configs/prior/mixture.yaml").read_text())))


def test_the_example_of_a_field_keeps_the_contract(example, monkeypatch):
    """The field of CONTRIBUTING.md, as it stands there, passes the contract of configs/field."""
    monkeypatch.syspath_prepend(TESTS / "nerf")  # its tests share a module
    node = example("nerf.fields.balls")
    for test in contract("nerf/fields/test_fields.py", ["field"]):
        test(build(node))
    with pytest.raises(ValueError, match="BallsField needs count >= 1 and size > 0, got count=0"):
        build(node, count=0)


def test_the_example_of_a_kind_is_seen_in_its_colour(monkeypatch):
    """The barrel of CONTRIBUTING.md is registered, closed, and shows its colour and its option."""
    monkeypatch.setattr(registry, "KINDS", {})
    (code,) = (block for block in blocks("CONTRIBUTING.md", "python") if "@kind(" in block)
    exec(code, {})
    barrel = registry.KINDS["barrel"]
    pictures = []
    for option in (False, True):
        shapes = barrel.build(option)
        for shape in shapes:  # closed: each edge is used once in either direction
            edges = np.concatenate([shape.faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
            places = np.unique(shape.vertices.round(6), axis=0, return_inverse=True)[1].reshape(-1)[edges]
            places = places[places[:, 0] != places[:, 1]]
            assert sorted(map(tuple, places)) == sorted(map(tuple, places[:, ::-1]))
        pose = np.eye(4)
        pose[:3, :3] = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]  # looks along -X at what faces +X
        pose[0, 3] = 1.8
        pictures.append(render(painted(assemble(shapes), "red"), pose[None], np.full(1, 40.0)).images[0])
    red, green, _ = pictures[0][32, 32]
    assert red > 3 * green
    assert np.abs(pictures[0] - pictures[1]).max() > 0.1


def test_the_example_of_a_prior_gives_its_picture(example, tmp_path):
    """Whatever the noise, sampling the prior of CONTRIBUTING.md gives the one picture that it knows."""
    picture = torch.rand(3, 16, 16, generator=generator(0, 0, "picture"))
    write_image(tmp_path / "picture.png", picture)
    prior = build(example("priors.still") | {"path": str(tmp_path / "picture.png"), "resolution": 16})
    noise = starting_noise(prior, 2, generator(0, 0, "noise"))
    for image in prior.decode(ddim(prior, noise, prior.embed(["a", "b"]), steps=10)):
        torch.testing.assert_close(image, read_image(tmp_path / "picture.png").rgb[0], atol=1e-3, rtol=0)


def test_the_readme_lists_every_task():
    """README.md names each task that `suite` lists."""
    text = (ROOT / "README.md").read_text()
    missing = [name for name in tasks() if f"`{name.replace('/', ' ')}`" not in text]
    assert not missing


def test_the_readme_tells_the_defaults():
    """The table of options says what `suite text_to_3d` composes: values, and names of the groups' choices."""
    table = (ROOT / "README.md").read_text().partition("## Options used most")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?`) \| (`.+?`|needed) \|", table, flags=re.MULTILINE)
    assert len(rows) > 10
    with Composer(task="text_to_3d") as composer:
        config = composer.unresolved([])
        chosen = composer.hydra.compose_config(
            "text_to_3d", [], RunMode.RUN, from_shell=False
        ).hydra.runtime.choices
        for keys, said in rows:
            for key in re.findall(r"`([^`]+)`", keys):
                if key in chosen:
                    shown = chosen[key] if isinstance(chosen[key], str | None) else list(chosen[key])
                    assert yaml.safe_load(said.strip("`")) == shown, key
                    continue
                node = config
                for part in key.split("."):
                    default = options_of(locate(node["_target_"])).get(part) if "_target_" in node else None
                    node = node[part] if part in node else getattr(default, "default", None)
                if isinstance(node, dict):  # the prompt, or several choices of a group
                    node = node.get("text", list(node))
                assert yaml.safe_load(said.strip("`")) == ("needed" if node == "???" else node), key
