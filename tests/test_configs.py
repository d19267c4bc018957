"""The contract of configs/: every YAML composes, every `_target_` resolves, every key is an option.

A new YAML is tested without an edit here.
"""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from suite.compose import CONFIGS, Composer, comment, tasks
from suite.config import complete
from suite.execute import resolve
from suite.options import locate, options_of, takes_anything
from suite.settings import Settings

TESTS = Path(__file__).parent
FOLDERS = (CONFIGS, TESTS / "configs")
FILES = [path for folder in FOLDERS for path in sorted(folder.rglob("*.yaml"))]
TASKS = list(tasks(FOLDERS[1:]))
CHECKED = set()  # choices that another task has too are composed once
EXPERIMENTS = [path for path in FILES if path.parent.name == "experiment"]


def named(paths):
    return [pytest.param(path, id="/".join(path.parts[-2:])) for path in paths]


def nodes(tree):
    """Every mapping in a tree."""
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    for item in tree if isinstance(tree, list) else ():
        yield from nodes(item)


def unknown_keys(node, also=()):
    """Keys of a node that its `_target_` does not have as options."""
    target = locate(node["_target_"])
    known = {*options_of(target), "_target_", "defaults", *also}
    return set() if takes_anything(target) else set(node) - known


def without_placeholders(tree):
    """The tree without what is still to be given ("???") and without references."""
    if isinstance(tree, dict):
        kept = {k: v for k, v in tree.items() if not (isinstance(v, str) and re.search(r"^\?\?\?$|\$\{", v))}
        return {key: without_placeholders(value) for key, value in kept.items()}
    return [without_placeholders(item) for item in tree] if isinstance(tree, list) else tree


@pytest.mark.parametrize("path", named(FILES))
def test_every_key_is_an_option(path):
    """In the file as it stands: `_target_` names a class, and each key beside it is one of its options."""
    tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    for node in nodes(tree):
        if "_target_" in node:
            top = [*options_of(Settings), "positional"] if node is tree else ()
            assert not unknown_keys(node, top)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_composes(task):
    """Every task has a line of doc and composes; each key of each object in it is an option."""
    assert tasks(FOLDERS[1:])[task], "the first line of a task's YAML is a comment: its doc"
    with Composer(task=task, folders=FOLDERS[1:]) as composer:
        config = composer.unresolved([])
    assert "_target_" in config, "a task in a subfolder begins with `# @package _global_`"
    assert not unknown_keys(config, options_of(Settings))
    for node in nodes(config):
        if "_target_" in node and node is not config:
            assert not unknown_keys(node)


@pytest.mark.parametrize("task", TASKS)
def test_every_choice_of_a_group_composes(task):
    """Each choice of each group of the task gives values that its constructors accept by name and type."""
    with Composer(task=task, folders=FOLDERS[1:]) as composer:
        for group, names in composer.groups.items():
            for name in names:
                if (group, name) in CHECKED:
                    continue
                CHECKED.add((group, name))
                config = without_placeholders(composer.unresolved([f"{group}={name}"]))
                for node in nodes(config):
                    if "_target_" in node:
                        settings = options_of(Settings) if node is config else ()
                        plain = {k: v for k, v in node.items() if not isinstance(v, dict | list)}
                        values = {k: v for k, v in plain.items() if k not in settings}
                        complete(
                            values,
                            supplied=[k for k in options_of(locate(node["_target_"])) if k not in values],
                        )


@pytest.mark.parametrize("task", TASKS)
def test_every_option_can_be_typed(task):
    """An option named as a group of choices that the task does not have could not: Hydra would take the group."""
    with Composer(task=task, folders=FOLDERS[1:]) as composer:
        options = options_of(locate(composer.unresolved([])["_target_"]))
        assert not [name for name in options if (CONFIGS / name).is_dir() and name not in composer.groups]


@pytest.mark.parametrize("path", named(EXPERIMENTS))
def test_an_experiment_runs_by_the_command_in_it(path):
    """The comment of an experiment has its command, `suite TASK ... experiment=NAME ...`; it composes."""
    lines = [line.strip() for line in comment(path.read_text(encoding="utf-8"))]
    commands = [line for line in lines if line.startswith("suite ")]
    assert commands, "an experiment says in a comment: suite TASK experiment=NAME"
    words = shlex.split(commands[0])[1:]
    bare = [word for word in words if "=" not in word]
    assert re.search(rf"\bexperiment={path.stem}\b", commands[0])
    with Composer(task="/".join(bare), folders=FOLDERS[1:]) as composer:
        resolve(composer.config([word for word in words if "=" in word]))


def test_the_settings_are_those_of_run_yaml():
    """configs/run.yaml holds the defaults of suite.settings.Settings, no more and no less."""
    values = yaml.safe_load((CONFIGS / "run.yaml").read_text())
    assert values == {name: option.default for name, option in options_of(Settings).items()}
