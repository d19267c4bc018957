"""The command line: what it prints, its exit status, and what it says of mistakes."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from suite.options import Option
from suite.words import literal, parsed, quoted


def config(outcome):
    return yaml.safe_load("\n".join(outcome.lines))


def test_tasks_are_listed(command):
    """`suite` alone lists the tasks with one line of doc each."""
    outcome = command()
    lines = [" ".join(line.split()) for line in outcome.lines]
    assert outcome.status == 0
    assert "wander A walk that tests the loop." in lines and "bench count Counts words." in lines


def test_a_run_prints_its_measures_and_directory(command):
    """Measures, products, and the run directory as the last line."""
    outcome = command("wander prompt='a red mushroom' steps=3")
    assert outcome.status == 0 and outcome.lines[0].startswith("  average  ")
    assert outcome.directory.parent == Path("runs/wander")
    assert (
        outcome.directory.name.startswith("a-red-mushroom-") and (outcome.directory / "report.json").exists()
    )


def test_help_shows_options_values_docs_and_choices(command):
    """Every option with type, value and doc, inner objects' too, and the groups' choices."""
    outcome = command("wander --help")
    text = "\n".join(outcome.lines)
    assert "suite wander prompt=" in text and "A walk that tests the loop." in text
    assert "  prompt.text = needed  (str)\n        What is written." in text
    assert "  spring = Spring  (Spring)\n        What pulls.\n        choices: hard, soft" in text
    assert "  spring.strength = 1  (float | Schedule)\n        How hard it pulls." in text
    assert "  seed = 0  (int)\n        Everything random follows from it." in text
    assert "spring.strength.start = 5" in "\n".join(command("wander spring=hard --help").lines)


def test_config_is_shown_with_every_default(command):
    """--config prints what would be run, complete, without running it."""
    shown = config(command("wander prompt=x spring=hard spring.strength.start=6 rate=1 --config"))
    assert shown["spring"]["strength"] == {
        "_target_": "suite.schedules.Linear",
        **{"start": 6.0, "end": 10.0, "begin": 0.0, "until": 1.0},
    }
    assert shown["rate"] == 1.0 and shown["prompt"] == {"_target_": "wander.Note", "text": "x", "loud": False}
    assert not Path("runs").exists()


def test_equal_settings_have_equal_directories(command):
    """However they are spelled: a default typed out, 1 for 1.0, another order."""
    lines = [
        "wander prompt=x steps=2 rate=1",
        "wander rate=1.0 prompt.text=x steps=2 seed=0 device=cpu",
        "wander prompt.loud=false prompt=x rate=1 spring=soft steps=2",
    ]
    assert len({command(line).lines[-1] for line in lines}) == 1
    assert command("wander prompt=x steps=2 rate=1 seed=1").lines[-1] not in command(lines[0]).lines


@pytest.mark.parametrize(
    "prompt",
    [
        "a red mushroom",
        "a red, shiny mushroom (small)",
        'it\'s "red"',
        "a=b: {c} [d]",
        "100",
        "true",
        "[1, 2]",
        "what?! 50% #1 ~ @ / \\",
        "грибок",
        "",
        " spaces ",
    ],
)
def test_prompts_need_no_second_quoting(command, prompt):
    """What the shell passes is what the task gets."""
    assert config(command("wander --config", f"prompt={prompt}"))["prompt"]["text"] == prompt


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_quoting_round_trips(text):
    """Any text, quoted, is read back by Hydra's grammar as itself."""
    assert parsed(f"key={quoted(text)}").value() == text
    option = Option("text", str, "", "")
    assert parsed(f"key={literal(text, option, False)}").value() == text


def test_experiment_overrides_groups_and_values(command):
    """experiment=NAME sets a paper's choices; words still win over it."""
    shown = config(command("wander prompt=x experiment=stiff --config"))
    assert shown["steps"] == 7 and shown["spring"]["strength"]["end"] == 10.0
    assert config(command("wander prompt=x experiment=stiff steps=9 --config"))["steps"] == 9


def test_hydras_grammar_stays_available(command):
    """Objects can be replaced by null or by another object, and lists given."""
    shown = config(command("bench count", "size=[3,4]", "words=[a,b]", "--config"))
    assert shown["size"] == [3.0, 4.0] and shown["words"] == ["a", "b"]
    shown = config(command("wander prompt=x spring=hard spring.strength=3 --config"))
    assert shown["spring"]["strength"] == 3.0  # a number in the place of a schedule
    points = config(command("wander prompt=x spring=hard spring.strength=[[0,1],[1,3]] --config"))
    assert points["spring"]["strength"] == [[0, 1], [1, 3]]
    constant = "spring.strength={_target_: suite.schedules.Constant, value: 2}"
    shown = config(command("wander prompt=x spring=hard --config", constant))
    assert shown["spring"]["strength"] == {"_target_": "suite.schedules.Constant", "value": 2.0}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("", ["dot", "line"]),
        ("marks=line", ["line"]),
        ("marks=[line,dot]", ["dot", "line"]),
        ("marks=null", []),
    ],
)
def test_groups_of_several_choices(command, word, expected):
    """A group that the task's YAML gives a list of choices takes one, several or none."""
    shown = config(command(f"bench count a {word} --config"))
    assert sorted(shown["marks"] or []) == expected


def test_a_group_that_may_be_left_out(command):
    """GROUP=null is the run without the choice, whoever made it: the same as its default, in a sweep too."""
    text, default = "text_to_3d prompt=x ", config(command("text_to_3d prompt=x --config"))
    assert default["refine"] is None and config(command(text + "refine=magic3d --config"))["refine"]
    assert config(command(text + "refine=null --config")) == default
    assert config(command(text + "experiment=magic3d refine=null --config"))["refine"] is None
    assert config(command(text + "experiment=magic3d ~refine --config"))["refine"] is None
    assert config(command(text + "refine=null shading=dreamfusion --config"))["shading"]
    swept = command("wander -m prompt=x spring=null,hard steps=1")
    assert "wander.Wander needs 'spring'" in swept.errors and len(list(Path("runs/wander").iterdir())) == 1


def test_words_without_a_key(command):
    """Where the YAML says `positional: words`, plain words become that list."""
    outcome = command("bench count a \"b'c\" 'd e'")
    assert (outcome.directory / "words.txt").read_text() == "a b'c d e"


def test_an_option_of_a_part_is_found(command):
    """kind is the spring's: its full name is told."""
    outcome = command("wander prompt=x kind=square")
    assert outcome.status == 2 and outcome.errors.endswith("Perhaps you mean spring.kind.\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("wandr", "'wandr' is not a task. Did you mean 'wander'? The tasks are: "),
        ("bench cout", "'bench cout' is not a task. Did you mean 'bench count'?"),
        ("prompt=x", "Which task? Type suite TASK prompt=x; suite alone lists the tasks."),
        ("wander --hlp", "'--hlp' is not a flag. Did you mean '--help'? The flags are: --help"),
        ("wander x", "'x' is not of the form key=value."),
        (
            "wander prompt=a red car",
            "'red' is not of the form key=value. What has spaces is quoted, as prompt=",
        ),
        ("wander", "prompt.text is needed: type prompt.text=..."),
        (
            "wander promt=x",
            "'promt' is not an option of wander. Did you mean 'prompt'? Its options are: prompt,",
        ),
        (
            "wander prompt=x spring=sft",
            "'sft' is not a choice of spring. Did you mean 'soft'? Its choices are: h",
        ),
        (
            "wander prompt=x spring.kid=2",
            "'kid' is not an option of spring. Did you mean 'kind'? Its options are",
        ),
        ("wander prompt=x spring=null", "wander.Wander needs 'spring': type spring=..."),
        (
            "wander prompt=x spring=null spring.kind=hard",
            "'spring.kind' cannot be set: spring is None in this configuration, not an object. Choose one first: "
            "spring=hard or soft.",
        ),
        ("wander prompt=x +rat=2", "'rat' is not an option of wander.Wander. Did you mean 'rate'?"),
        (
            "wander prompt=x spring.kind.x=2",
            "'spring.kind.x' cannot be set: spring.kind is None in this conf",
        ),
        (
            "wander prompt=x spring.kind=squar",
            "kind of wander.Spring must be one of ['square', 'absolute'], got",
        ),
        ("wander prompt=x experiment=stif", "'stif' is not a choice of experiment. Did you mean 'stiff'?"),
        ("wander prompt=x steps=abc", "steps of wander.Wander must be int, got 'abc'."),
        ("wander prompt=x steps=0", "steps must be at least 1, got 0."),
        ("wander prompt=x steps=1,2", "steps of wander.Wander must be int, got '1,2'."),
        ("wander prompt=x rate=-1", "Wander needs rate > 0, got -1.0."),
        ("wander prompt=x device=gpu", "device must be auto, cpu, cuda or cuda:N, got 'gpu'."),
        ("wander prompt=x save_every=often", "save_every is a number of seconds, or steps as '100 steps'"),
        ("wander prompt=x hydra.nothing=1", "Could not override 'hydra.nothing'."),
        (
            "bench count _target_=wander.Words",
            "wander.Words is not a task: it must be a suite.task.Task.",
        ),
        ("wander prompt=x --config-dir nowhere", "--config-dir nowhere: there is no such folder."),
        ("wander prompt=x out=file/x", "The run directory file/x cannot be written (Not a directory)"),
    ],
)
def test_bad_input_is_one_line(command, line, message):
    """Bad input: status 2, one line that says what is possible, no traceback, no directory left."""
    Path("file").write_text("")
    outcome = command(line)
    assert outcome.status == 2 and outcome.lines == []
    assert outcome.errors.startswith(f"suite: {message}"), outcome.errors
    assert outcome.errors.count("\n") == 1 and not list(Path().rglob("config.yaml"))


def test_names_that_are_not_utf8(command):
    """A byte of a file's name that is no text: the run ends, its files say which byte, and it is found again."""
    name = b"na\xffme".decode(errors="surrogateescape")
    first = command(f"wander prompt={name} steps=2")
    assert first.status == 0, first.errors
    for file in ("report.json", "report.html", "config.yaml"):
        assert "\\udcff" in (first.directory / file).read_text(encoding="utf-8").lower()
    again = command(f"wander prompt={name} steps=2")
    assert again.lines == first.lines and "This run is complete" in again.errors


def test_another_configuration_in_the_same_directory(command):
    """out= of a run with other settings is refused; the first run stays as it was."""
    first = command("wander prompt=x steps=2 out=here")
    outcome = command("wander prompt=x steps=3 out=here")
    assert outcome.status == 2 and "(steps is 2 there and 3 here)" in outcome.errors
    assert command("wander prompt=x steps=2 out=here").lines == first.lines


def test_traceback_on_demand(command):
    """--traceback shows where an error comes from, and the one line after it."""
    outcome = command("wander prompt=x rate=-1 --traceback")
    assert outcome.status == 2 and "Traceback" in outcome.errors
    assert outcome.errors.rstrip().endswith("suite: Wander needs rate > 0, got -1.0.")


def test_our_own_mistakes_show_a_traceback(command, monkeypatch):
    """An error that is not the user's is not hidden: traceback, status 1."""
    import wander

    monkeypatch.setattr(wander.Wander, "loss", lambda *_: {}["missing"])
    outcome = command("wander prompt=x")
    assert outcome.status == 1 and "KeyError: 'missing'" in outcome.errors


@pytest.mark.parametrize(
    "allocate",
    [
        lambda *_: np.zeros((10**6, 10**7)),
        lambda *_: torch.empty(10**6, 10**7),
        lambda *_: torch.empty(2**62),
    ],
)
def test_too_much_memory_is_one_line(command, monkeypatch, allocate):
    """What numpy or torch cannot allocate: status 2 and what to make smaller, no traceback."""
    import wander

    monkeypatch.setattr(wander.Count, "run", allocate)
    outcome = command("bench count a")
    assert outcome.status == 2 and "Traceback" not in outcome.errors
    assert outcome.errors.startswith("suite: the memory is not enough (")
    assert "Make what is asked for smaller" in outcome.errors


def test_divergence_is_a_failure_with_a_reason(command):
    """A loss that is not a number: status 1, one line with the reason."""
    outcome = command("wander prompt=x fail_at=3")
    assert outcome.status == 1 and "suite: stopped at step 3 of 40: the loss is not finite" in outcome.errors
    assert "the scene is empty" in command("wander prompt=x sick_at=3").errors


def test_some_tasks_run_again(command, monkeypatch):
    """A task that reads what may have changed is run again by the same command; others are found complete."""
    import wander

    first = command("bench count a").directory / "words.txt"
    first.write_text("stale")
    command("bench count a")
    assert first.read_text() == "stale"
    monkeypatch.setattr(wander.Count, "reruns", True)
    command("bench count a")
    assert first.read_text() == "a"


def test_interrupted_without_a_loop(command, monkeypatch):
    """Ctrl-C in any other task: status 130."""
    import wander

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(wander.Count, "run", interrupt)
    outcome = command("bench count a")
    assert outcome.status == 130 and "suite: interrupted. The same command goes on." in outcome.errors


def test_sweeps(command):
    """-m runs every combination of values and groups, each in its own directory; text keeps its spaces."""
    outcome = command("wander -m steps=2 spring=soft,hard", "prompt=a car,a red bus")
    assert outcome.status == 0 and len(set(outcome.lines)) == 4
    names = sorted(Path(line).name.rpartition("-")[0] for line in outcome.lines)
    assert names == ["a-car", "a-car", "a-red-bus", "a-red-bus"]
    assert all((Path(line) / "complete.json").exists() for line in outcome.lines)
    assert len(list(Path("runs/sweeps").glob("wander-*/multirun.yaml"))) == 1


def test_one_failure_does_not_stop_a_sweep(command):
    """The other members run; the status is the worst."""
    outcome = command("wander -m prompt=x steps=2,0,3")
    assert outcome.status == 2 and len(outcome.lines) == 2
    assert "suite: steps must be at least 1, got 0." in outcome.errors


def test_sweeps_in_parallel(command, monkeypatch):
    """Hydra's launchers work: joblib in other processes (here: threads, to be quick)."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    outcome = command("wander -m prompt=x steps=2,3 hydra/launcher=joblib hydra.launcher.prefer=threads")
    assert outcome.status == 0 and len(set(outcome.lines)) == 2


def test_version(command):
    """--version prints it."""
    assert command("--version").lines[0].startswith("suite 0.")
