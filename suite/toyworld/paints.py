"""The colours and paints of toyworld: sRGB in [0, 1]."""

COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.10, 0.10),
    "orange": (0.98, 0.52, 0.05),
    "yellow": (0.98, 0.87, 0.10),
    "green": (0.13, 0.62, 0.18),
    "cyan": (0.15, 0.82, 0.85),
    "blue": (0.12, 0.25, 0.85),
    "purple": (0.50, 0.15, 0.70),
    "pink": (0.98, 0.55, 0.72),
    "brown": (0.45, 0.25, 0.10),
    "black": (0.08, 0.08, 0.09),
    "white": (0.95, 0.95, 0.95),
    "grey": (0.50, 0.50, 0.52),
}

# What the stripes, dots and checks of a main colour are made of: far from it, and no colour of its own for dark things.
COMPANIONS: dict[str, tuple[float, float, float]] = {
    name: (0.96, 0.96, 0.93) if name not in ("white", "yellow", "cyan", "pink") else (0.15, 0.15, 0.18)
    for name in COLORS
}

# Parts that keep their paint whatever the object's colour is.
FIXED: dict[str, tuple[float, float, float]] = {
    "black": (0.07, 0.07, 0.08),
    "dark": (0.18, 0.18, 0.20),
    "metal": (0.66, 0.68, 0.72),
    "glass": (0.62, 0.82, 0.92),
    "white": (0.95, 0.95, 0.95),
    "cream": (0.96, 0.90, 0.76),
    "wood": (0.55, 0.36, 0.18),
    "leaf": (0.20, 0.55, 0.16),
    "yellow": (0.98, 0.80, 0.15),
    "orange": (0.95, 0.50, 0.10),
    "red": (0.80, 0.12, 0.12),
    "pink": (0.95, 0.60, 0.65),
    "skin": (0.90, 0.70, 0.56),
    "lamp": (1.00, 0.95, 0.65),
}

PATTERNS = ("plain", "striped", "dotted", "checkered")
