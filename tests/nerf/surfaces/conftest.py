"""Lets the tests of surfaces import `solids`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
