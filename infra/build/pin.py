"""Makes a built template accept only the processor that was built for."""

from __future__ import annotations

from pathlib import Path

import yaml


def pin(template: Path, architecture: str) -> None:
    """Leave only one value to the parameter ``Architecture`` of a built template.

    CloudFormation then refuses another processor before it changes anything. Otherwise every function would fail at its
    first import.
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
