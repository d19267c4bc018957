"""A byte-level BPE tokenizer of CLIP's kind, learnt from captions.

Any text can be encoded, because every byte is a token; words that the captions use often become one token. The
vocabulary is fixed once: words that a growing toyworld adds later are spelt with the pieces that are there.
"""

from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

SPECIAL = ("<|startoftext|>", "<|endoftext|>")


def learn_tokenizer(captions: Iterable[str], *, size: int = 2048, length: int = 32) -> CLIPTokenizer:
    """The tokenizer of these captions.

    Args:
        captions: Texts; only their words and how often they occur matter.
        size: Number of tokens at the most, the 512 of the bytes and the two special ones among them.
        length: Longest text in tokens; longer ones are cut.
    """
    words = Counter(word for text in captions for word in text.lower().replace(",", " ,").split())
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), as_bytes])
    # ends of words are numbered beforehand: the trainer itself numbers them in the order of a hash table, another one
    # each time, by which it then decides between pairs of the same count
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(SPECIAL), initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False,
        special_tokens=[letter + "</w>" for letter in alphabet],
    )  # fmt: skip
    # counts are flattened, so that a rare word is learnt as a whole too
    bpe.train_from_iterator(
        (" ".join([word] * min(count, 8)) for word, count in sorted(words.items())), trainer
    )
    merges = [tuple(pair) for pair in _merges(bpe)]
    tokens = [
        *alphabet,
        *(letter + "</w>" for letter in alphabet),
        *("".join(pair) for pair in merges),
        *SPECIAL,
    ]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=length)


def _merges(bpe: Tokenizer) -> list[tuple[str, str]]:
    import json

    merges = json.loads(bpe.to_str())["model"]["merges"]
    return [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in merges]
