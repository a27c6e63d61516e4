"""README's walk without a browser: a shell runs its lines against the running system."""

from __future__ import annotations

import json
import re
import subprocess

from tests.support.stack import PATIENCE_SECONDS, ROOT, RunningSystem

SECTION = "## Without a browser"
ASK = 'until curl -s $URL/api/whatsapp/status -H "Authorization: Bearer $TOKEN" | grep -q {}; do sleep 0.1; done'
# A person needs longer between these lines than the system needs.
WAITS = {"POST $URL/api/whatsapp/connect ": ASK.format("waiting_qr"), "/dev/phone/scan": ASK.format("connectedAt.*T")}


def test_the_walk_without_a_browser_pairs_and_disconnects(stack: RunningSystem) -> None:
    section = (ROOT / "README.md").read_text("utf-8").split(SECTION)[1]
    (block,) = re.findall(r"```sh\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    first, *lines = block.splitlines()
    assert first == "URL=http://127.0.0.1:3000"
    script = [f"URL={stack.url}"]
    for line in lines:
        script += [line, "echo", *(wait for call, wait in WAITS.items() if call in line)]
    shell = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(script)],
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    assert shell.returncode == 0, shell.stderr
    answers = [json.loads(line) for line in shell.stdout.splitlines() if line.startswith("{")]
    states = [answer["status"] for answer in answers if "status" in answer]
    assert states == ["connecting", "waiting_qr", "connected", "disconnected"]
    assert "▀" in shell.stdout  # the QR as text
