"""What is typed after `suite`, composed by Hydra: tasks, groups, values, sweeps.

A task is a YAML below `configs` whose defaults list has `run` (in a subfolder: `/run`, under a first line
`# @package _global_`). Its first comment line is its doc. Hydra's grammar stays available (`+`, `~`,
`@`, `hydra.*`, sweeps under -m); on top of it
    any constructor option can be set, whether or not the YAML mentions it (guidance.scale=30);
    text needs no second quoting (prompt="a red, shiny mushroom");
    a value given to an object is its first option (prompt=... is prompt.text=... where prompt is an object),
    but for null, {...}, and a number or list where one is accepted (lr=0.01), which replace the object;
    `experiment=NAME` is `+experiment=NAME`;
    and whatever does not exist is answered with what does.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from suite.config import plain
from suite.errors import UserError
from suite.options import not_one_of
from suite.words import find, first_choice, is_group, is_hydras_own, literal, quoted

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
NONE = r"(?<![\w/.-])null(?![\w/.-])"
NO_KEY = '{!r} is not of the form key=value. What has spaces is quoted, as prompt="a red car".'


def tasks(folders: Sequence[Path] = ()) -> dict[str, str]:
    """Task -> its one-line doc (the YAML's first comment line), by name. Later folders go first."""
    found = {}
    for folder in (CONFIGS, *folders):
        for path in sorted(folder.rglob("*.yaml")):
            text = path.read_text(encoding="utf-8")
            if re.search(r"^\s*- /?run\s*$|^defaults: \[/?run\b", text, flags=re.MULTILINE):
                found[path.relative_to(folder).with_suffix("").as_posix()] = (comment(text) or [""])[0]
    return dict(sorted(found.items()))


def comment(text: str) -> list[str]:
    """The comment at the top of a YAML, without Hydra's @package line."""
    lines = re.match(r"(?:#.*\n)*", text)[0].splitlines()
    return [re.sub("^# ?", "", line) for line in lines if not line.startswith("# @package")]


class Composer:
    """Hydra for one task; use as a context manager.

    Args:
        task: A name of `tasks()`.
        folders: More folders like `configs`, searched first.
    """

    def __init__(self, *, task: str, folders: Sequence[Path] = ()) -> None:
        self.task, self.folders = task, tuple(folders)
        self._composed: dict[tuple[str, ...], Any] = {}

    def __enter__(self) -> "Composer":
        from hydra import version
        from hydra._internal.hydra import Hydra
        from hydra._internal.utils import create_config_search_path
        from hydra.core.global_hydra import GlobalHydra

        version.setbase("1.3")
        GlobalHydra.instance().clear()
        search_path = create_config_search_path(str(CONFIGS))
        for folder in self.folders:
            search_path.prepend("suite", str(folder.resolve()))
        self.hydra = Hydra.create_main_hydra2(self.task, search_path)
        return self

    def __exit__(self, *_: object) -> None:
        from hydra.core.global_hydra import GlobalHydra

        GlobalHydra.instance().clear()

    @property
    def groups(self) -> dict[str, list[str]]:
        """Group of this task -> the names to choose from."""
        with hydra_errors():
            choices = self._compose([]).hydra.runtime.choices
        names = [name for name in choices if not name.startswith("hydra/")] + self.list_groups
        return {name: self.hydra.config_loader.get_group_options(name.partition("@")[0]) for name in names}

    @cached_property
    def list_groups(self) -> list[str]:
        """The groups of which the task takes several choices at once: `- regularizer: [opacity, entropy]`."""
        paths = (folder / f"{self.task}.yaml" for folder in (*self.folders, CONFIGS))
        path = next(path for path in paths if path.exists())
        defaults = yaml.safe_load(path.read_text(encoding="utf-8"))["defaults"]
        pairs = [pair for entry in defaults if isinstance(entry, dict) for pair in entry.items()]
        return [key.split()[-1].strip("/") for key, value in pairs if isinstance(value, list)]

    def config(self, words: Sequence[str] = ()) -> dict:
        """The composed config for `key=value` words, as plain data.

        Raises:
            UserError: A word that names no group, choice, option or key of this task.
        """
        with hydra_errors():
            return resolved(self._without_hydra(self.overrides(words)))

    def unresolved(self, words: Sequence[str] = ()) -> dict:
        """As `config`, but what is still needed stays "???" and references stay references."""
        with hydra_errors():
            return _unresolved(self._without_hydra(self.overrides(words)))

    def positional(self, words: Sequence[str]) -> list[str]:
        """Words that are not key=value, as the list that the task's YAML names with `positional: KEY`."""
        if not words:
            return []
        with hydra_errors():
            key = self._compose([]).get("positional")
        if key is None:
            raise UserError(NO_KEY.format(words[0]))
        return [f"{key}=[{','.join(map(quoted, words))}]"]

    def sweep(self, words: Sequence[str], function: Callable, directory: str) -> list:
        """Calls function(config) for every member of the sweep that `words` describe, by Hydra's sweeper.

        Args:
            words: `key=value` words; values may be sweeps (a,b or range(1,5) or glob(*)).
            function: Called with the composed config; pickled if the launcher works in other processes.
            directory: Where Hydra keeps its own notes on the sweep.
        Returns: What the calls returned, in order.
        """
        notes = [
            "hydra/hydra_logging=none",
            "hydra/job_logging=none",
            "hydra.output_subdir=null",
            f"hydra.sweep.dir={quoted(directory)}",
            "hydra.sweep.subdir=.",
        ]
        with hydra_errors():
            overrides = self.overrides(words, sweep=True) + notes
            jobs = self.hydra.multirun(self.task, function, overrides, with_log_configuration=False)
        return [job.return_value for batch in jobs for job in batch]

    def overrides(self, words: Sequence[str], sweep: bool = False) -> list[str]:
        """The words in Hydra's grammar, checked against this task."""
        groups = self.groups
        chosen = [self._group_override(word, groups) for word in words if is_group(word, groups)]
        first = [f"{word.partition('=')[0]}={first_choice(word)}" for word in chosen]
        config = _unresolved(self._without_hydra(first))
        values = [
            self._value_overrides(word, config, groups, sweep) for word in words if not is_group(word, groups)
        ]
        return chosen + [override for overrides in values for override in overrides]

    def _compose(self, overrides: list[str]) -> Any:
        """Hydra's composition, kept: one takes a quarter of a second."""
        from hydra.types import RunMode
        from omegaconf import OmegaConf

        if tuple(overrides) not in self._composed:
            config = self.hydra.compose_config(
                self.task, overrides, RunMode.RUN, from_shell=False, with_log_configuration=False
            )
            OmegaConf.set_struct(config, False)
            self._composed[tuple(overrides)] = config
        return self._composed[tuple(overrides)]

    def _without_hydra(self, overrides: list[str]) -> Any:
        from omegaconf import OmegaConf

        config = self._compose(overrides)
        return OmegaConf.masked_copy(config, [key for key in config if key not in ("hydra", "positional")])

    def _group_override(self, word: str, groups: dict[str, list[str]]) -> str:
        key, _, value = word.partition("=")
        bare = key.lstrip("+~").partition("@")[0]
        names = groups.get(key) or self.hydra.config_loader.get_group_options(bare)
        for name in re.findall(r"[\w/.-]+", value):
            if name not in names and name != "null":
                raise UserError(not_one_of(name, names, f"a choice of {bare}", "Its choices are"))
        if key.startswith("~"):
            return f"{key[1:]}=[]"
        if key in self.list_groups and not value.startswith("["):
            return f"{key}=[{'' if value == 'null' else value}]"
        word = f"{key}={re.sub(NONE, '[]', value)}"  # Hydra takes no null for a group, but no choices at all
        return f"+{word}" if key == "experiment" and key not in groups else word

    def _value_overrides(self, word: str, config: dict, groups: dict, sweep: bool) -> list[str]:
        if is_hydras_own(word):
            return [word]
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(NO_KEY.format(word))
        key, option, is_object = find(key, config, groups, self.task, value)
        override = f"++{key}={literal(value, option, sweep)}"
        replaces = is_object and (
            value.startswith("[") or "_target_" in value
        )  # Hydra would merge, or refuse to
        return [f"~{key}", override] if replaces else [override]


@contextmanager
def hydra_errors() -> Iterator[None]:
    """Hydra's and OmegaConf's errors as one line of the user's."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(" ".join(str(error).split())) from error


def resolved(config: Any) -> dict:
    """Hydra's node as plain data; raises UserError for a value that is still needed."""
    from omegaconf import OmegaConf

    needed = sorted(OmegaConf.missing_keys(config))
    if needed:
        raise UserError(f"{needed[0]} is needed: type {needed[0]}=...")
    with hydra_errors():
        return plain(config)


def _unresolved(config: Any) -> dict:
    from omegaconf import OmegaConf

    return OmegaConf.to_container(config, resolve=False)
