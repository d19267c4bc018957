"""Does an object look like its prompt? Accuracies and R-precision by the independent judge, over many views.

    log p(prompt | image) = log p(name) + log p(colour) + log p(pattern)                                (1)

name: the kind, the real object or "person". Colour and pattern are those of procedural objects: a prompt that
says no pattern means plain, one that says no colour means any. Sizes, options, motions, poses and clothes are
not judged. R-precision (Park et al. 2021; DreamFusion, Sec. 4): the share of views for which no other prompt
scores higher.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from suite.errors import UserError
from suite.geometry.cameras import Cameras
from suite.metrics.judge import PERSON, Judge, Verdict, World, load_judge
from suite.toyworld.captions import VIEWS, view_word
from suite.toyworld.motions import MOTIONS
from suite.toyworld.objects import parse
from suite.types import Images


@dataclass(frozen=True)
class Claim:
    """What a prompt says of a picture, as far as the judge can tell; None where it says nothing."""

    name: str
    color: str | None = None
    pattern: str | None = None
    view: str | None = None


@dataclass(frozen=True)
class TextAgreement:
    """How well views of one object agree with its prompt: shares of views in [0, 1].

    Args:
        named: The name is right and, where the prompt says one, the colour.
        name, color, pattern: Each by itself; None where the prompt says nothing. A real object whose last word is the
            kind counts as that kind: a "sports car" is a car.
        view: The view is right (front, side, back or overhead); None without cameras or a front.
        r_precision: No other prompt scores higher by (1).
        rank: Place of the prompt among all by (1) summed over the views; 1 is best.
    """

    named: float
    name: float
    color: float | None
    pattern: float | None
    view: float | None
    r_precision: float
    rank: int


def text_agreement(
    images: Images,
    prompt: str,
    *,
    cameras: Cameras | None = None,
    prompts: Sequence[str] | None = None,
    judge: Judge | None = None,
) -> TextAgreement:
    """Whether pictures of one object show what the prompt says.

    Args:
        images: Views of the object on plain backgrounds, 16 around it by custom.
        prompt: Words of toyworld or a real object's caption.
        cameras: Of the pictures, +X being the object's front: to judge view words too.
        prompts: What to rank the prompt among; by default all that the judge can tell apart.
        judge: By default the shipped one.

    Raises:
        UserError: A prompt is outside the judge's world.
    """
    judge = judge or load_judge()
    claim = claim_of(prompt, judge.world)
    verdict = judge.look(images)
    right = {head: _right(verdict, head, getattr(claim, head)) for head in ("name", "color", "pattern")}
    named = right["name"] if right["color"] is None else right["name"] & right["color"]
    view = None
    if cameras is not None and claim.name in judge.world.fronts:
        places = zip(cameras.azimuth_deg.tolist(), cameras.elevation_deg.tolist())
        view = _share([seen == view_word(*place) for seen, place in zip(verdict.best("view"), places)])
    ranks, rank = ranks_among(
        verdict, claim, None if prompts is None else [claim_of(p, judge.world) for p in prompts]
    )
    return TextAgreement(
        named=_share(named), name=_share(right["name"]), color=_share(right["color"]),
        pattern=_share(right["pattern"]), view=view, r_precision=_share(ranks == 1), rank=rank,
    )  # fmt: skip


def claim_of(prompt: str, world: World) -> Claim:
    """What a prompt says, in the judge's answers.

    Raises:
        UserError: It names nothing that the judge knows.
    """
    parts = [part.strip() for part in prompt.lower().split(",")]
    subject, others = parts[0], parts[1:]
    view = next((part for part in others if part in VIEWS), None)
    noun = subject.removeprefix("an ").removeprefix("a ").strip()
    if noun in world.real:
        return Claim(noun, view=view)
    if noun.split(" ")[0] in (PERSON, "child"):
        return Claim(PERSON, view=view)
    unknown = [part for part in others if part not in (*VIEWS, *MOTIONS)]
    spec, color = _object(noun)
    if spec is None or spec.kind not in world.kinds or unknown:
        close = difflib.get_close_matches(noun, world.names, 3) or difflib.get_close_matches(
            noun.split(" ")[-1], world.names, 3
        )
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise UserError(
            f"The judge cannot tell whether a picture shows '{prompt}': {(unknown or [noun])[0]!r} is "
            f"outside its world.{hint} It knows {', '.join(world.kinds)}, each in {', '.join(world.colors)}; "
            f"a person; and {len(world.real)} real objects. Give a prompt of these, or train it anew: suite "
            "train_judge."
        )
    return Claim(spec.kind, spec.color if color else None, spec.pattern, view)


def _object(noun: str):
    """(what the words say of an object or None, whether they say a colour)."""
    try:
        return parse(noun), True
    except UserError:
        try:
            return parse(f"red {noun}"), False
        except UserError:
            return None, False


@cache
def all_claims(world: World) -> tuple[Claim, ...]:
    """Everything that the judge can tell apart, views aside."""
    objects = [
        Claim(k, color, pattern) for k in world.kinds for color in world.colors for pattern in world.patterns
    ]
    return (*objects, *(Claim(name) for name in (*world.real, PERSON)))


def scores(verdict: Verdict, claims: Sequence[Claim]) -> Float[Tensor, "b n"]:
    """The log-probability (1) of each claim for each picture."""
    total = torch.zeros(len(verdict), len(claims), device=verdict.name.device)
    for head in ("name", "color", "pattern"):
        answers = {answer: i for i, answer in enumerate(verdict.world.heads[head])}
        said = [(k, answers[getattr(claim, head)]) for k, claim in enumerate(claims) if getattr(claim, head)]
        if said:
            places, which = (torch.tensor(x, device=total.device) for x in zip(*said))
            total[:, places] += getattr(verdict, head)[:, which]
    return total


def ranks_among(verdict: Verdict, claim: Claim, claims: Sequence[Claim] | None = None) -> tuple[Tensor, int]:
    """The place of a claim among others (all by default): for each picture, and for all pictures together.

    Claims that say the same to the judge share a place.
    """
    claim = Claim(claim.name, claim.color, claim.pattern)
    claims = all_claims(verdict.world) if claims is None else claims
    table = scores(verdict, [claim, *claims])
    ranks = 1 + (table[:, 1:] > table[:, :1] + 1e-6).sum(1)
    together = table.sum(0)
    return ranks, 1 + int((together[1:] > together[0] + 1e-6).sum())


def _right(verdict: Verdict, head: str, answer: str | None) -> Tensor | None:
    if answer is None:
        return None
    if head == "name":
        return torch.tensor([verdict.world.is_a(best, answer) for best in verdict.best(head)])
    return torch.tensor([best == answer for best in verdict.best(head)])


def _share(right: Tensor | Sequence[bool] | None) -> float | None:
    return None if right is None else float(torch.as_tensor(right).float().mean())
