"""Tools around the system: migrations, the workflow, the sandbox and the local runner."""

import sys
from pathlib import Path

# Some tools share a module with the functions. On Lambda the layers are on the path; here this puts them there, last.
LAYERS = Path(__file__).resolve().parents[1] / "layers"
sys.path.extend(folder for folder in (str(LAYERS / "shared"), str(LAYERS / "engine")) if folder not in sys.path)
