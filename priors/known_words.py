"""The words that a small text encoder has seen. Others are noise to it: refused, with suggestions."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from suite.errors import UserError


@dataclass(frozen=True)
class KnownWords:
    """Words by group, as {"kinds": ("mushroom", ...), "colours": ("red", ...)}."""

    groups: dict[str, tuple[str, ...]]

    @staticmethod
    def of(content: Mapping[str, Any] | Sequence[str]) -> "KnownWords":
        """From a words.json: a list of words, or lists by group."""
        groups = content if isinstance(content, Mapping) else {"words": content}
        return KnownWords(
            {name: tuple(str(word).lower() for word in words) for name, words in groups.items()}
        )

    def refuse_unknown(self, text: str) -> None:
        """Raise if a text has a word that is in no group. Entries of several words know each of them.

        Raises:
            UserError: It has: names the words, the nearest known ones, and all that are known.
        """
        known = {word for group in self.groups.values() for entry in group for word in words_of(entry)}
        unknown = [word for word in words_of(text) if word not in known]
        if not unknown:
            return
        near = {word: difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.75) for word in unknown}
        hints = [f"{match[0]!r} instead of {word!r}" for word, match in near.items() if match]
        hint = f" Did you mean {', '.join(hints)}?" if hints else ""
        listing = "; ".join(f"{name}: {', '.join(words)}" for name, words in self.groups.items())
        raise UserError(
            f"This prior has never seen {', '.join(map(repr, unknown))} (in {text!r}).{hint} It knows "
            f"{listing}."
        )


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, each once: "A red T-shirt" has a, red, t-shirt."""
    return list(dict.fromkeys(re.findall(r"\w+(?:['-]\w+)*", text.lower())))
