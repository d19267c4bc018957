"""Things that grow."""

from suite.toyworld.kinds.registry import kind
from suite.toyworld.shapes import Shape, ellipsoid, lathe


@kind("mushroom", front=False, synonyms=("toadstool",), option="dots")
def mushroom(option: bool) -> list[Shape]:
    """A cap of the main colour on a pale stem."""
    stem = lathe([(0, 0), (0.2, 0), (0.17, 0.2), (0.14, 0.5), (0.13, 0.62)]).painted("cream")
    cap = lathe([(0.1, 0.62), (0.36, 0.53), (0.5, 0.56), (0.5, 0.56), (0.49, 0.66), (0.4, 0.85), (0.22, 0.98), (0, 1.02)])
    dots = []
    for azimuth, height, radius in [(20, 0.8, 0.43), (95, 0.88, 0.36), (160, 0.76, 0.46), (230, 0.86, 0.38), (300, 0.74, 0.47)]:
        dots.append(ellipsoid(0.03, 0.085, 0.085, 12).moved(x=radius).turned("z", azimuth).moved(z=height).painted("white"))
    return [stem, cap, *(dots if option else [])]
