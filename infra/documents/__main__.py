"""``python -m infra.documents``: list each link of a Markdown file that leads nowhere. Exit with 1 if there is one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from infra.documents.links import broken_links

ROOT = Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python -m infra.documents", description="Check the links of all documents."
    ).parse_args()
    broken = broken_links(ROOT)
    print("\n".join(broken) or "All links of the documents lead somewhere.")
    sys.exit(1 if broken else 0)
