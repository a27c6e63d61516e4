"""What was built for one processor cannot be deployed for another."""

from __future__ import annotations

from pathlib import Path

import yaml


def pin(template: Path, architecture: str) -> None:
    """Let the parameter ``Architecture`` of a built template be what was built and nothing else.

    CloudFormation then refuses another one before it changes anything; without this, every function would fail at
    its first import.
    """
    document = yaml.safe_load(template.read_text(encoding="utf-8"))
    document["Parameters"]["Architecture"] |= {
        "Default": architecture,
        "AllowedValues": [architecture],
        "ConstraintDescription": f"The artifacts are for {architecture}; `make build ARCH=...` builds others.",
    }
    template.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")


def architecture_of(template: Path) -> str:
    """Return the processor that a built template is pinned to."""
    return str(yaml.safe_load(template.read_text(encoding="utf-8"))["Parameters"]["Architecture"]["Default"])
