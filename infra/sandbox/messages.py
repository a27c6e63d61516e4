"""The protobuf messages that the sandbox reads and writes, with only the fields that it needs.

They are declared here, in a descriptor pool of our own. So the sandbox need not load the engine for its generated code,
and a test may load both into one process. The field numbers are WhatsApp's.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "whatsapp_sandbox"

# message → field → (number, type). A type that is not a scalar is another message of this table.
_SCHEMA: dict[str, dict[str, tuple[int, str]]] = {
    # Noise handshake
    "ClientHello": {"ephemeral": (1, "bytes")},
    "ServerHello": {"ephemeral": (1, "bytes"), "static": (2, "bytes"), "payload": (3, "bytes")},
    "ClientFinish": {"static": (1, "bytes"), "payload": (2, "bytes")},
    "HandshakeMessage": {
        "client_hello": (2, "ClientHello"),
        "server_hello": (3, "ServerHello"),
        "client_finish": (4, "ClientFinish"),
    },
    # the server's certificate chain
    "CertificateDetails": {
        "serial": (1, "uint32"),
        "issuer_serial": (2, "uint32"),
        "key": (3, "bytes"),
        "not_before": (4, "uint64"),
        "not_after": (5, "uint64"),
    },
    "NoiseCertificate": {"details": (1, "bytes"), "signature": (2, "bytes")},
    "CertChain": {"leaf": (1, "NoiseCertificate"), "intermediate": (2, "NoiseCertificate")},
    # what the client says about itself
    "DeviceProps": {"os": (1, "string")},
    "DevicePairingData": {
        "registration_id": (1, "bytes"),
        "identity_key": (3, "bytes"),
        "signed_prekey_id": (4, "bytes"),
        "signed_prekey": (5, "bytes"),
        "signed_prekey_signature": (6, "bytes"),
        "device_props": (8, "bytes"),
    },
    "AppVersion": {"primary": (1, "uint32"), "secondary": (2, "uint32"), "tertiary": (3, "uint32")},
    "UserAgent": {"app_version": (2, "AppVersion")},
    "ClientPayload": {
        "username": (1, "uint64"),
        "user_agent": (5, "UserAgent"),
        "device": (18, "uint32"),
        "device_pairing_data": (19, "DevicePairingData"),
    },
    # the account's signature for a device
    "DeviceIdentity": {"raw_id": (1, "uint32"), "timestamp": (2, "uint64"), "key_index": (3, "uint32")},
    "SignedDeviceIdentity": {
        "details": (1, "bytes"),
        "account_signature_key": (2, "bytes"),
        "account_signature": (3, "bytes"),
        "device_signature": (4, "bytes"),
    },
    "SignedDeviceIdentityHmac": {"details": (1, "bytes"), "hmac": (2, "bytes")},
}

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bytes": _Field.TYPE_BYTES,
    "string": _Field.TYPE_STRING,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
}


def _declare() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="sandbox.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            field = message.field.add(name=field_name, number=number, label=_Field.LABEL_OPTIONAL)
            if kind in _SCALARS:
                field.type = _SCALARS[kind]
            else:
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    find = pool.FindMessageTypeByName
    return {name: message_factory.GetMessageClass(find(f"{_PACKAGE}.{name}")) for name in _SCHEMA}


_CLASSES = _declare()

CertChain = _CLASSES["CertChain"]
CertificateDetails = _CLASSES["CertificateDetails"]
ClientPayload = _CLASSES["ClientPayload"]
DeviceIdentity = _CLASSES["DeviceIdentity"]
DeviceProps = _CLASSES["DeviceProps"]
HandshakeMessage = _CLASSES["HandshakeMessage"]
NoiseCertificate = _CLASSES["NoiseCertificate"]
SignedDeviceIdentity = _CLASSES["SignedDeviceIdentity"]
SignedDeviceIdentityHmac = _CLASSES["SignedDeviceIdentityHmac"]
