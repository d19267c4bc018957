"""CLIP's vocabulary, taken from wherever it is."""

import gzip
import importlib.util
from types import SimpleNamespace

import pytest

from priors.loading import vocabulary
from priors.loading.vocabulary import byte_letters, clip_tokenizer, read_merges
from suite.errors import UserError
from tests.priors.tiny_checkpoints import byte_alphabet, put_in_cache, refused


def test_vocabulary_from_a_package(tmp_path, monkeypatch, offline):
    """open_clip's list of merges makes CLIP's tokens: bytes, bytes that end a word, merges, start, end."""
    package = tmp_path / "open_clip"
    package.mkdir()
    lines = ["#version", "r e", "re d</w>", "c a", "ca r</w>"]
    (package / vocabulary.MERGES_FILE).write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    spec = SimpleNamespace(submodule_search_locations=[str(package)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "open_clip" else None)
    tokenizer = clip_tokenizer(None, part="tokenizer", pad_token="!")
    assert len(tokenizer) == 512 + 4 + 2
    a = byte_letters().index("a") + 256
    ids = tokenizer("A red car", padding="max_length", max_length=8).input_ids
    assert ids == [516, a, 513, 515, 517, 0, 0, 0]


def test_only_the_merges_of_the_published_vocabulary_are_read(tmp_path):
    """The file has 262,144 merges; 48,894 of them make the 49,408 tokens."""
    path = tmp_path / "merges.gz"
    path.write_bytes(gzip.compress("\n".join(["#version"] + [f"{i} x" for i in range(50_000)]).encode()))
    assert len(read_merges(path)) == 48_894 == 49_408 - 2 * 256 - 2
    assert byte_letters() == byte_alphabet() and len(set(byte_letters())) == 256


def test_vocabulary_from_the_hubs_cache(offline, tmp_path):
    (tmp_path / "clip").mkdir()
    vocabulary.write_vocabulary(["r e", "re d</w>"], tmp_path / "clip")
    put_in_cache(offline, "openai/clip-vit-large-patch14", tmp_path / "clip")
    assert len(clip_tokenizer(None, part="tokenizer", pad_token="<|endoftext|>")) == 512 + 2 + 2


def test_vocabulary_nowhere(offline, monkeypatch, single_file, folder):
    """It is asked for, with both ways to give it."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "clip" in name else real(name))
    message = refused(single_file("sd15"), config=folder("sd15"))
    assert "prior.tokenizer=FOLDER" in message and "pip install --no-deps open_clip_torch" in message


def test_vocabulary_from_a_wrong_folder(tmp_path):
    with pytest.raises(UserError, match="is not a folder. Name one with vocab.json"):
        clip_tokenizer(tmp_path / "nowhere", part="tokenizer", pad_token="!")
