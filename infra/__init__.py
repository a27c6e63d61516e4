"""The tools around the product. They build, migrate, run, simulate and release it. Only `stack/` is deployed."""

import sys
from pathlib import Path

# Lambda puts the layers on Python's path. These lines do so for the tools, which import modules of the layers.
LAYERS = Path(__file__).resolve().parents[1] / "layers"
sys.path.extend(folder for folder in (str(LAYERS / "shared"), str(LAYERS / "engine")) if folder not in sys.path)
