"""CLIP's vocabulary for single files, which lack it: 49,408 byte-level BPE tokens, one list for all families.

It is taken, in this order, from a folder that the user names, from the hub's cache, or from an installed
package that carries the list of merges (open_clip_torch, OpenAI's clip).
"""

import gzip
import importlib.util
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from priors.loading.folders import load_tokenizer
from suite.errors import UserError

MERGES_FILE = "bpe_simple_vocab_16e6.txt.gz"
PACKAGES = ("open_clip", "clip")
CACHED = (
    ("openai/clip-vit-large-patch14", "."),
    ("stable-diffusion-v1-5/stable-diffusion-v1-5", "tokenizer"),
    ("stabilityai/stable-diffusion-xl-base-1.0", "tokenizer"),
    ("CompVis/stable-diffusion-v1-4", "tokenizer"),
    ("runwayml/stable-diffusion-v1-5", "tokenizer"),
)
N_TOKENS = 49408


def clip_tokenizer(source: str | Path | None, *, part: str, pad_token: str) -> Any:
    """A CLIP tokenizer.

    Args:
        source: A folder with tokenizer.json or vocab.json and merges.txt, or a checkpoint folder that has
            them in a subfolder `part`; None looks where it is usually found.
        part: "tokenizer" or "tokenizer_2".
        pad_token: "<|endoftext|>", or "!" (token 0) for encoders trained by open_clip.

    Raises:
        UserError: It is nowhere to be found.
    """
    if source is not None:
        return load_tokenizer(_named(Path(source).expanduser(), part), pad_token=pad_token)
    if (folder := _in_cache()) is not None:
        return load_tokenizer(folder, pad_token=pad_token)
    if (merges := _in_packages()) is not None:
        with tempfile.TemporaryDirectory() as folder:
            write_vocabulary(read_merges(merges), Path(folder))
            return load_tokenizer(Path(folder), pad_token=pad_token)
    raise UserError(
        "A single file does not carry CLIP's vocabulary. Either name a folder that has it (vocab.json and "
        "merges.txt, as in any Stable Diffusion's tokenizer/): prior.tokenizer=FOLDER; or install a package "
        "that carries it: pip install --no-deps open_clip_torch"
    )


def _named(folder: Path, part: str) -> Path:
    for candidate in (folder / part, folder / "tokenizer", folder):
        if candidate.is_dir() and (candidate == folder or any(candidate.glob("*.json"))):
            return candidate
    raise UserError(f"tokenizer='{folder}' is not a folder. Name one with vocab.json and merges.txt.")


def _in_cache() -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for repository, folder in CACHED:
        found = [
            try_to_load_from_cache(repository, (Path(folder) / name).as_posix())
            for name in ("vocab.json", "merges.txt")
        ]
        if all(isinstance(path, str) for path in found):
            return Path(found[0]).parent
    return None


def _in_packages() -> Path | None:
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)  # finds, without importing
        for folder in (spec and spec.submodule_search_locations) or ():
            if (Path(folder) / MERGES_FILE).exists():
                return Path(folder) / MERGES_FILE
    return None


def read_merges(path: Path) -> list[str]:
    """The merges, as "i n", of CLIP's published list: those that make 49,408 tokens; the file has more."""
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
    return [line for line in lines[1 : 1 + N_TOKENS - 512 - 2] if line]


def write_vocabulary(merges: Sequence[str], folder: Path) -> None:
    """Write vocab.json and merges.txt: bytes, bytes that end a word, merges, start and end of text."""
    letters = byte_letters()
    tokens = [
        *letters,
        *(letter + "</w>" for letter in letters),
        *("".join(merge.split()) for merge in merges),
    ]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    options = {"model_max_length": 77, "unk_token": "<|endoftext|>", "tokenizer_class": "CLIPTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(options))


def byte_letters() -> list[str]:
    """GPT-2's printable letter for each of the 256 bytes, printable bytes first: CLIP's first tokens."""
    printable = [byte for first, last in ("!~", "¡¬", "®ÿ") for byte in range(ord(first), ord(last) + 1)]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(256 - len(printable))]
