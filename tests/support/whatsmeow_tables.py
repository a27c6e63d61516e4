"""The statement by which whatsmeow stores the keys of a device."""

from __future__ import annotations

from tests.support.adv_secret import Secret

KEYS = "whatsapp_engine.whatsmeow_device"
JID = "5215550001:1@s.whatsapp.net"

# whatsmeow runs this statement to store a device, and later to save it again.
SAVE = f"""
INSERT INTO {KEYS} AS d (jid, registration_id, noise_key, identity_key, signed_pre_key, signed_pre_key_id,
  signed_pre_key_sig, adv_key, adv_details, adv_account_sig, adv_account_sig_key, adv_device_sig, push_name)
VALUES (%s, 1, %s, %s, %s, 1, %s, %s, '', %s, %s, %s, %s)
ON CONFLICT (jid) DO UPDATE SET push_name = excluded.push_name
"""


def keys(secret: Secret, jid: str = JID, name: str = "") -> tuple[object, ...]:
    """The parameters of ``SAVE``."""
    key = secret.bytes
    return (jid, key, key, key, key * 2, key, key * 2, key, key * 2, name)
