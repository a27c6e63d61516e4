"""A linker or an unlink in a process of its own, on a real database and with a real engine.

usage: holder.py link ATTEMPT_ID URL ENGINE_URL | unlink DEVICE_ID URL ENGINE_URL
"""

import sys
from uuid import UUID

from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.database import Database
from whatsapp_pairing.pairing.linker import link
from whatsapp_pairing.repository.devices import Devices
from whatsapp_pairing.repository.leases import Leases
from whatsapp_pairing.repository.rows import Rows
from whatsapp_pairing.settings import Settings
from whatsapp_pairing.unlinking import unlink
from whatsapp_pairing.workflow import Workflow


def main() -> None:
    task, number, url, engine_url = sys.argv[1], UUID(sys.argv[2]), *sys.argv[3:]
    database, engine = Database(lambda: url), ProcessEngine(lambda: engine_url)
    if task == "unlink":
        unlink(number, Devices(database), engine)
    else:
        link(number, Leases(database), Rows(database), Workflow(Settings({})), engine)


main()
