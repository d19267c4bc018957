"""Lets the tests of fields and renderers import `scenery`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
