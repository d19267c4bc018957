"""Things that grow."""

from suite.toyworld.kinds.registry import kind
from suite.toyworld.shapes import Shape, cone, cylinder, ellipsoid, lathe, sphere, tube


@kind("mushroom", front=False, synonyms=("toadstool",), option="dots")
def mushroom(option: bool) -> list[Shape]:
    """A cap of the main colour on a pale stem."""
    stem = lathe([(0, 0), (0.2, 0), (0.17, 0.2), (0.14, 0.5), (0.13, 0.62), (0, 0.62)]).painted("cream")
    rim = [(0, 0.62), (0.1, 0.62), (0.36, 0.53), (0.5, 0.56), (0.5, 0.56)]
    cap = lathe([*rim, (0.49, 0.66), (0.4, 0.85), (0.22, 0.98), (0, 1.02)])
    places = [(20, 0.8, 0.43), (95, 0.88, 0.36), (160, 0.76, 0.46), (230, 0.86, 0.38), (300, 0.74, 0.47)]
    dot = ellipsoid(0.03, 0.085, 0.085, 12).painted("white")
    dots = [dot.moved(x=radius).turned("z", azimuth).moved(z=z) for azimuth, z, radius in places]
    return [stem, cap, *(dots if option else [])]


@kind("tree", front=False, synonyms=("fir tree",), option="snow")
def tree(option: bool) -> list[Shape]:
    """A fir: three tiers of branches of the main colour on a short trunk."""
    trunk = cylinder(0.1, 0.45, segments=12).moved(z=0.07).painted("wood")
    tiers, snow = [], []
    for z, radius, height in [(0.25, 0.48, 0.55), (0.6, 0.38, 0.5), (0.92, 0.27, 0.48)]:
        tiers.append(cone(radius, height, segments=16).moved(z=z + height / 2))
        snow.append(
            cone(0.55 * radius, 0.5 * height, segments=16).moved(z=z + 0.78 * height).painted("white")
        )
    return [trunk, *tiers, *(snow if option else [])]


@kind("cactus", front=False, option="a flower")
def cactus(option: bool) -> list[Shape]:
    """A ribbed column with two raised arms, in a pot."""
    rim = [(0.27, 0.26), (0.27, 0.26), (0.31, 0.26), (0.31, 0.34), (0.31, 0.34), (0, 0.33)]
    pot = lathe([(0, 0), (0.2, 0), (0.2, 0), *rim], 18).painted("wood")
    stem = lathe([(0.16, 0.3), (0.18, 0.6), (0.18, 1.05), (0.14, 1.18), (0.06, 1.25), (0, 1.26)], 16)
    rib = tube([(0.17, 0, 0.35), (0.18, 0, 1.05), (0.1, 0, 1.2)], 0.035, 6)
    ribs = [rib.turned("z", 45 * k) for k in range(8)]
    left = [(0, 0, 0.62), (0, 0.36, 0.64), (0, 0.42, 0.72), (0, 0.42, 1.0), (0, 0.42, 1.04)]
    right = [(0, 0, 0.78), (0, -0.34, 0.8), (0, -0.4, 0.88), (0, -0.4, 1.1), (0, -0.4, 1.14)]
    arms = [tube(path, [0.1, 0.1, 0.11, 0.1, 0.05], 12) for path in (left, right)]
    petal = ellipsoid(0.13, 0.06, 0.04, 10).moved(0.11, 0, 1.27).painted("pink")
    petals = [petal.turned("z", 60 * k) for k in range(6)]
    heart = sphere(0.07, 10).moved(z=1.3).painted("yellow")
    return [pot, stem, *ribs, *arms, *([*petals, heart] if option else [])]


@kind("pumpkin", front=False, option="a leaf")
def pumpkin(option: bool) -> list[Shape]:
    """A wide ribbed ball, dented above, with a bent stalk."""
    lobe = ellipsoid(0.22, 0.19, 0.33, 14).moved(0.26)
    lobes = [lobe.turned("z", 40 * k).moved(z=0.33) for k in range(9)]
    stalk = tube(
        [(0, 0, 0.5), (0, 0, 0.7), (0.06, 0, 0.8), (0.14, 0, 0.84)], [0.1, 0.065, 0.055, 0.06], 10
    ).painted("leaf")
    leaf = ellipsoid(0.2, 0.13, 0.03, 12).turned("y", 10).moved(-0.2, 0.05, 0.68).painted("leaf")
    return [*lobes, stalk, *([leaf] if option else [])]


@kind("flower", front=True, synonyms=("daisy",), option="a pot")
def flower(option: bool) -> list[Shape]:
    """A ring of petals that faces forward, on a stalk with two leaves."""
    petal = ellipsoid(0.09, 0.14, 0.2, 12).moved(z=0.3)
    petals = [petal.turned("x", 45 * k).turned("y", -12).moved(0.06, 0, 1.0) for k in range(8)]
    heart = ellipsoid(0.1, 0.17, 0.17, 14).turned("y", -12).moved(0.1, 0, 1.0).painted("yellow")
    back = ellipsoid(0.06, 0.12, 0.12, 10).moved(-0.04, 0, 1.0).painted("leaf")
    stalk = tube([(0, 0, 0), (-0.03, 0, 0.5), (0.0, 0, 1.0)], 0.04, 8).painted("leaf")
    leaf = ellipsoid(0.1, 0.24, 0.03, 12).moved(y=0.24).turned("x", 30).moved(z=0.3).painted("leaf")
    pot = lathe([(0, -0.3), (0.2, -0.3), (0.2, -0.3), (0.28, 0.06), (0.28, 0.06), (0, 0.04)], 16).painted(
        "wood"
    )
    return [*petals, heart, back, stalk, *leaf.mirrored(), *([pot] if option else [])]
