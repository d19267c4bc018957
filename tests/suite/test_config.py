"""From values to objects: build, complete, conversion, and what is said of mistakes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from suite.config import build, complete, plain
from suite.errors import UserError
from suite.options import locate, not_one_of, options_of
from suite.schedules import Linear, Schedule

HERE = f"{__name__}."


@dataclass
class Brush:
    """Paint.

    Args:
        width, height: Size in
            pixels.
        kind: What it is.
    """

    width: float
    height: float = 2.0
    kind: Literal["round", "flat"] = "round"


@dataclass
class WideBrush(Brush):
    """More paint.

    Args:
        kind: How wide it looks.
        ends: How many.
    """

    ends: int = 1


class Painter:
    """Somebody.

    Args:
        brushes: All of them.
        mixed: Colours, as {red: 0.5}.
    """

    def __init__(
        self,
        *,
        brushes: list[Brush],
        steps: int = 3,
        bounds: tuple[float, float] = (0.0, 1.0),
        sizes: tuple[float, ...] = (),
        path: Path | None = None,
        speed: float | Schedule = 1.0,
        name: str = "",
        anything: Any = None,
        helper: object = None,
        mixed: Mapping[str, float | int] | None = None,
    ) -> None:
        self.__dict__.update(locals())


def painter(**options: Any) -> dict:
    return {"_target_": HERE + "Painter", "brushes": [], **options}


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """`_target_` finds the classes of this file whatever name it was imported under."""
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this())


def _this():
    import types

    module = types.ModuleType(__name__)
    module.__dict__.update(globals())
    return module


def test_objects_are_built_depth_first():
    """Nodes inside lists and options become objects before the object that holds them."""
    built = build(painter(brushes=[{"_target_": HERE + "Brush", "width": 3}], anything={"a": {"b": 1}}))
    assert built.brushes == [Brush(3.0)] and built.anything == {"a": {"b": 1}}


def test_plain_data_stays_itself():
    """Without `_target_` there is nothing to build."""
    assert build({"a": [1, {"b": None}]}) == {"a": [1, {"b": None}]}


def test_extra_options_are_passed_as_objects():
    """What is given beside the config reaches the constructor as it is."""
    thing = object()
    assert build(painter(), helper=thing).helper is thing


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("speed", 2, 2.0),
        ("speed", {"_target_": "suite.schedules.Linear", "start": 0, "end": 1}, Linear(0.0, 1.0)),
        ("steps", 1e3, 1000),
        ("bounds", [1, 2], (1.0, 2.0)),
        ("sizes", [1, 2, 3], (1.0, 2.0, 3.0)),
        ("path", "a/b", Path("a/b")),
        ("path", None, None),
        ("anything", [1, "x"], [1, "x"]),
        ("mixed", {"red": 1, "blue": 0.5}, {"red": 1, "blue": 0.5}),
        ("mixed", None, None),
    ],
)
def test_values_take_the_annotated_type(key, given, expected):
    """Numbers, tuples and paths arrive as annotated; other values as they are."""
    value = getattr(build(painter(**{key: given})), key)
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            painter(stepz=1),
            r"'stepz' is not an option of .*Painter. Did you mean 'steps'\? Its options are: brushes",
        ),
        ({"_target_": HERE + "Painter"}, "Painter needs 'brushes': type brushes=... All of them."),
        (painter(steps="many"), "steps of .*Painter must be int, got 'many'"),
        (painter(steps=1.5), "steps of .*Painter must be int, got 1.5"),
        (painter(steps=True), "steps of .*Painter must be int, got True"),
        (painter(name=3), "name of .*Painter must be str, got 3"),
        (painter(steps=[1]), r"steps of .*Painter must be int, got \[1\]"),
        (painter(steps={"a": 1}), "steps of .*Painter must be int, got {'a': 1}"),
        (painter(mixed=["blue"]), r"mixed of .* got \['blue'\]. Colours, as {red: 0.5}."),
        (painter(steps=None), "steps of .*Painter must be int, got None"),
        (
            painter(mixed="blue"),
            r"mixed of .*Painter must be Mapping\[str, .*got 'blue'. Colours, as {red: 0.5}.",
        ),
        (painter(mixed={"blue": "much"}), r"mixed of .* got {'blue': 'much'}. Colours, as {red: 0.5}."),
        (
            painter(brushes=[{"_target_": HERE + "Brush", "width": 1, "kind": "rond"}]),
            r"kind of .*Brush must be one of \['round', 'flat'\], got 'rond'",
        ),
        ({"_target_": "suite.schedules.Liner"}, "'Liner' is not in suite.schedules. Did you mean 'Linear'"),
        ({"_target_": "nowhere.Thing"}, "_target_ nowhere.Thing: there is no module 'nowhere'"),
    ],
)
def test_mistakes_are_answered_with_what_is_possible(config, message):
    """A mistyped option, value, class or module: one line with the way out, before anything is built."""
    with pytest.raises(UserError, match=message):
        build(config)


def test_unknown_extra_option():
    """Options given beside the config are checked too."""
    with pytest.raises(UserError, match="'helpr' is not an option of .* Did you mean 'helper'"):
        build(painter(), helpr=1)


def test_errors_of_constructors_come_through():
    """What a constructor raises is not wrapped."""
    with pytest.raises(ValueError, match="^Linear needs 0 <= begin < until <= 1"):
        build({"_target_": "suite.schedules.Linear", "start": 0, "end": 1, "begin": 2})


def test_a_broken_import_is_not_a_missing_module(tmp_path, monkeypatch):
    """A module that exists but imports something that does not is reported as that."""
    (tmp_path / "broken_module.py").write_text("import surely_not_installed")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="surely_not_installed"):
        locate("broken_module.Thing")


def test_complete_spells_out_defaults():
    """Every plain default appears, numbers and tuples as JSON has them; completing twice changes nothing."""
    node = complete(painter(brushes=[{"_target_": HERE + "Brush", "width": 3}], bounds=[0, 2]))
    assert node["brushes"] == [{"_target_": HERE + "Brush", "width": 3.0, "height": 2.0, "kind": "round"}]
    assert node["bounds"] == [0.0, 2.0] and node["sizes"] == [] and node["path"] is None
    assert complete(node) == node


def test_plain_makes_json():
    """OmegaConf nodes, tuples and paths become what JSON has."""
    from omegaconf import OmegaConf

    node = OmegaConf.create({"a": "${b}", "b": [1, {"c": 2}]})
    assert plain(node) == {"a": [1, {"c": 2}], "b": [1, {"c": 2}]}
    assert plain((Path("x"), 1)) == ["x", 1]


def test_options_carry_their_docs():
    """Names, types, defaults and docs come from signature and docstring, continuation lines included."""
    options = options_of(Brush)
    assert list(options) == ["width", "height", "kind"]
    assert options["height"].doc == options["width"].doc == "Size in pixels."
    assert options["height"].default == 2.0 and options["width"].type_name == "float"
    assert options["kind"].doc == "What it is."


def test_options_inherit_their_docs():
    """A dataclass that extends another documents its own options, and anew those that mean something else."""
    options = options_of(WideBrush)
    assert {name: option.doc for name, option in options.items()} == {
        "width": "Size in pixels.",
        "height": "Size in pixels.",
        "kind": "How wide it looks.",
        "ends": "How many.",
    }


def test_no_suggestion_for_what_is_far_off():
    """Nothing is suggested where nothing is near."""
    assert (
        not_one_of("zzz", ["alpha", "_hidden"], "here", "There are") == "'zzz' is not here. There are: alpha."
    )
