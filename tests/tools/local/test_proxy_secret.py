"""The secret that the parameter WhatsAppProxy names holds the proxy of this run."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.postgres import Postgres
from tests.support.stack import ROOT, RunningSystem
from tests.tools.local.started_runner import PLAIN, started

PROJECT = ("--template", str(ROOT / "template.yaml"), "--parameter", "WhatsAppProxy=team/proxy")


def test_the_secret_holds_the_simulated_whatsapps_proxy(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.url(postgres.create())
    system = RunningSystem(tmp_path, "--database-url", url, "--parameter", "WhatsAppProxy=team/proxy")
    try:
        secret = system.aws("secretsmanager").get_secret_value(SecretId="team/proxy")["SecretString"]
        assert json.loads(secret)["url"].startswith("http://127.0.0.1:")
    finally:
        system.stop()


def test_live_needs_a_proxy_in_the_environment(postgres: Postgres, tmp_path: Path) -> None:
    url = ("--database-url", postgres.url(postgres.create()))
    with started(tmp_path / "without", PLAIN, "--live", *PROJECT, *url) as start:
        assert start.url is None
        assert "the parameter WhatsAppProxy needs a proxy here: set HTTPS_PROXY" in start.said
    proxy = {"HTTPS_PROXY": "http://127.0.0.1:9"}
    with started(tmp_path / "with", PLAIN | proxy, "--live", *PROJECT, *url) as start:
        assert start.url is not None, start.said
