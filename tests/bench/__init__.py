"""Measures the figures of figures.md: python -m tests.bench (or make bench)."""

import sys
from pathlib import Path

# Measurements without a running system call the domain's code in this process.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))
