"""Notices ask the person to do something while an attempt runs: a code for machines, a sentence for the person."""

from enum import StrEnum


class Notice(StrEnum):
    """Every notice; the value is the API's ``notice.code``."""

    SCAN_AGAIN = "scan_again"
    """WhatsApp has renewed the QR instead of pairing. The renewed QR must be scanned."""
    NEW_QR = "new_qr"
    """The scan or the login was refused, by WhatsApp or by the engine's database. A new QR follows."""

    @classmethod
    def parse(cls, code: str | None) -> "Notice | None":
        """Return the notice with this code, or None for any other text."""
        return next((notice for notice in cls if notice == code), None)


INSTRUCTIONS = {
    "en": {
        Notice.SCAN_AGAIN: "WhatsApp asks for one more scan. Tap Link a device again and scan this QR code.",
        Notice.NEW_QR: "The scan did not work. Tap Link a device again and scan the new QR code.",
    },
    "es": {
        Notice.SCAN_AGAIN: (
            "WhatsApp pide un escaneo más. Toca otra vez Vincular un dispositivo y escanea este código QR."
        ),
        Notice.NEW_QR: ("El escaneo no funcionó. Toca otra vez Vincular un dispositivo y escanea el código QR nuevo."),
    },
}


def instruction(notice: Notice, language: str = "en") -> str:
    """Return what to tell the person, in ``"en"`` or ``"es"``."""
    return INSTRUCTIONS[language][notice]
