"""Runs a linker or an unlink in a process of its own, on a real database and with a real engine.

usage: lease_holder.py link ATTEMPT_ID URL ENGINE_URL | unlink DEVICE_ID URL ENGINE_URL
"""

import sys
from uuid import UUID

from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.keeper.devices import Devices
from whatsapp_pairing.keeper.unlink import unlink
from whatsapp_pairing.pairing.leases import Leases
from whatsapp_pairing.pairing.linker import link
from whatsapp_pairing.pairing.session_rows import SessionRows
from whatsapp_pairing.runtime.database import Database
from whatsapp_pairing.runtime.settings import Settings
from whatsapp_pairing.runtime.workflow import Workflow


def main() -> None:
    task, number, url, engine_url = sys.argv[1], UUID(sys.argv[2]), *sys.argv[3:]
    database, engine = Database(lambda: url), ProcessEngine(lambda: engine_url)
    if task == "unlink":
        unlink(number, Devices(database), engine)
    else:
        link(number, Leases(database), SessionRows(database), Workflow(Settings({})), engine)


main()
