"""Poses of people: joint angles, and named poses as functions of a phase, so that people can be animated.

Angles are in degrees, about 0 for someone who stands with hanging arms. Each named pose is a cycle: at
phase 1 it is where it was at phase 0.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace

import numpy as np

from suite.toyworld.shapes import Number


@dataclass(frozen=True)
class Arm:
    """Angles of an arm.

    Args:
        forward: Raised to the front; 90 points ahead.
        out: Raised to its side; 90 is level, 180 straight up.
        twist: Turn of the upper arm about itself: 0 bends the elbow to the front, 90 away from the body.
        bend: Of the elbow.
    """

    forward: Number = 0.0
    out: Number = 8.0
    twist: Number = 0.0
    bend: Number = 8.0


@dataclass(frozen=True)
class Leg:
    """Angles of a leg: raised to the front, raised to its side, bend of the knee, toes pointed down."""

    forward: Number = 0.0
    out: Number = 3.0
    bend: Number = 0.0
    point: Number = 0.0


@dataclass(frozen=True)
class Pose:
    """Angles of a body: what captions call it, its limbs, and

    Args:
        lean: Torso bent to the front.
        turn: Torso turned to the left.
        nod: Head bent to the front.
        look: Head turned to the left.
        lift: Height of the lowest point above the ground.
        stool: Whether there is a stool to sit on.
    """

    name: str = "standing"
    left_arm: Arm = Arm()
    right_arm: Arm = Arm()
    left_leg: Leg = Leg()
    right_leg: Leg = Leg()
    lean: Number = 0.0
    turn: Number = 0.0
    nod: Number = 0.0
    look: Number = 0.0
    lift: Number = 0.0
    stool: bool = False


def blend(a: Pose, b: Pose, amount: Number) -> Pose:
    """The pose between two, angle by angle: `a` at amount 0, `b` at 1; name and stool are the nearer's."""
    return _mixed(a, b, lambda x, y: x + amount * (y - x), a if amount < 0.5 else b)


def jittered(pose: Pose, std_deg: Number, random: np.random.Generator) -> Pose:
    """The pose with normal noise on every angle of its limbs, torso and head."""
    noisy = _mixed(pose, pose, lambda x, _: x + std_deg * random.standard_normal(), pose)
    return replace(noisy, lift=pose.lift)


def _mixed(a: object, b: object, mix: Callable[[Number, Number], Number], nearer: object):
    if is_dataclass(a):
        names = [field.name for field in fields(a)]
        return type(a)(**{n: _mixed(getattr(a, n), getattr(b, n), mix, getattr(nearer, n)) for n in names})
    return nearer if isinstance(a, str | bool) else float(mix(a, b))


def _wave(phase: Number, shift: Number = 0.0) -> float:
    return float(np.sin(2 * np.pi * (phase + shift)))


def _stride(phase: Number, swing: Number, bent: Number, lift: Number) -> Leg:
    """A leg that swings by +-`swing`, the knee bent by `bent`, and by `lift` more on its way ahead."""
    return Leg(forward=swing * _wave(phase), bend=bent + lift * max(0.0, _wave(phase, 0.25)))


def standing(phase: Number) -> Pose:
    """Still, but for breath."""
    arm = Arm(out=9 + 2 * _wave(phase))
    return Pose("standing", arm, arm)


def waving(phase: Number) -> Pose:
    """The right hand above the head, from side to side."""
    return Pose("waving", right_arm=Arm(out=105, twist=90, bend=62 + 28 * _wave(phase)), left_arm=Arm(out=10))


def walking(phase: Number) -> Pose:
    """Two steps in a cycle, the arms against the legs."""
    arms = [Arm(forward=-38 * _wave(phase, shift), bend=22) for shift in (0, 0.5)]
    return Pose("walking", *arms, _stride(phase, 34, 4, 40), _stride(phase + 0.5, 34, 4, 40), lean=4)


def running(phase: Number) -> Pose:
    """Long strides, high heels and bent arms, leaning to the front."""
    arms = [Arm(forward=-60 * _wave(phase, shift), bend=95, out=12) for shift in (0, 0.5)]
    left, right = _stride(phase, 52, 22, 90), _stride(phase + 0.5, 52, 22, 90)
    return Pose("running", *arms, left, right, lean=18, nod=-12, lift=0.04 + 0.04 * _wave(2 * phase))


def sitting(phase: Number) -> Pose:
    """On a stool, hands on the knees."""
    leg, arm = Leg(forward=90, out=9, bend=88), Arm(forward=38, out=6, bend=42)
    return Pose("sitting", arm, arm, leg, leg, lean=2, nod=4 * _wave(phase), stool=True)


def jumping(phase: Number) -> Pose:
    """In the air with spread arms and legs; highest at half the phase."""
    height = float(np.sin(np.pi * phase))
    arm = Arm(out=75 + 55 * height, bend=12)
    leg = Leg(out=14 + 22 * height, bend=30 - 20 * height, forward=15 - 10 * height, point=35)
    return Pose("jumping", arm, arm, leg, leg, lift=0.35 * height)


def raising_both_arms(phase: Number) -> Pose:
    """Both arms straight up."""
    arm = Arm(out=160 + 8 * _wave(phase), bend=6)
    return Pose("raising both arms", arm, arm)


def pointing(phase: Number) -> Pose:
    """The right arm straight ahead."""
    return Pose("pointing", right_arm=Arm(forward=90 + 4 * _wave(phase), out=0, bend=0), left_arm=Arm(out=10))


def bowing(phase: Number) -> Pose:
    """Bent at the hips, arms behind."""
    arm = Arm(forward=-20, out=8)
    return Pose("bowing", arm, arm, lean=50 + 8 * _wave(phase), nod=12)


def kneeling(phase: Number) -> Pose:
    """On the right knee."""
    left, right = Leg(forward=90, out=6, bend=92), Leg(forward=-8, bend=84, point=75)
    return Pose("kneeling", Arm(forward=38, bend=40), Arm(), left, right, nod=6 + 3 * _wave(phase))


def dancing(phase: Number) -> Pose:
    """One arm up, one to the side, a knee lifted; sides change with the phase."""
    up, low = Arm(out=148, bend=25, twist=90), Arm(out=72, bend=35, twist=-60)
    straight, lifted = Leg(out=10), Leg(forward=48, out=22, bend=82, point=25)
    pose = Pose("dancing", up, low, straight, lifted, lean=0, turn=14, look=-14)
    other = Pose("dancing", low, up, lifted, straight, lean=0, turn=-14, look=14)
    return blend(pose, other, 0.5 - 0.5 * float(np.tanh(2.5 * _wave(phase)) / np.tanh(2.5)))


def with_hands_on_hips(phase: Number) -> Pose:
    """Both elbows out, legs apart."""
    arm, leg = Arm(forward=-12, out=48, twist=-72, bend=104), Leg(out=12)
    return Pose("with hands on hips", arm, arm, leg, leg, look=8 * _wave(phase))


POSES: dict[str, Callable[[Number], Pose]] = {
    make(0.0).name: make
    for make in (
        standing, waving, walking, running, sitting, jumping, raising_both_arms, pointing, bowing, kneeling,
        dancing, with_hands_on_hips,
    )
}  # fmt: skip
