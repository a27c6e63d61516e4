"""How fast the system is, and what it costs: python -m tests.bench (or make bench) writes figures.md."""

import sys
from pathlib import Path

# What needs no running stack is measured with the domain's own code.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))
