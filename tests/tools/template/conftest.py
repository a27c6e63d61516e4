"""The template as written, and as CloudFormation gets it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infra.template.intrinsics import load_yaml
from tests.support.other_environments import tool
from tests.support.stack import ROOT
from tests.support.transformed import SAM_TRANSFORM

Template = dict[str, Any]
Expand = Callable[..., Template]


@pytest.fixture
def template() -> Template:
    """A copy of template.yaml that the test may change."""
    # Through JSON, because aliases in YAML make parts shared.
    document: Template = json.loads(json.dumps(load_yaml((ROOT / "template.yaml").read_text())))
    return document


@pytest.fixture(scope="session")
def expand() -> Iterator[Expand]:
    """SAM's transform: ``expand(template, Parameter="value")`` returns what CloudFormation gets. Tracing is on."""
    python = tool(".venv-sam", "python")
    with subprocess.Popen([python, SAM_TRANSFORM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout

        def expand(template: Template, **parameters: str) -> Template:
            print(json.dumps([template, {"Tracing": "Active"} | parameters]), file=process.stdin, flush=True)
            answer = json.loads(process.stdout.readline())
            assert isinstance(answer, dict), answer
            return answer

        yield expand
        process.stdin.close()
