"""Why a pairing ended: codes for machines, sentences for the person with the phone."""

from enum import StrEnum


class Reason(StrEnum):
    """Every end of an attempt except ``connected``; the value is the API's ``error.code``."""

    QR_TIMEOUT = "qr_timeout"
    SCAN_TIMEOUT = "scan_timeout"
    SCAN_NOT_REPEATED = "scan_not_repeated"
    CANCELLED = "cancelled"
    PAIRING_REJECTED = "pairing_rejected"
    PASSKEY_REQUIRED = "passkey_required"
    CLIENT_OUTDATED = "client_outdated"
    ACCOUNT_BANNED = "account_banned"
    WHATSAPP_UNREACHABLE = "whatsapp_unreachable"
    LINKER_FAILED = "linker_failed"
    UNLINKED_FROM_PHONE = "unlinked_from_phone"
    INTERNAL = "internal"

    @classmethod
    def parse(cls, code: str | None) -> "Reason | None":
        """Return the reason with this code, or None for any other text."""
        return next((reason for reason in cls if reason == code), None)

    @property
    def by_choice(self) -> bool:
        """Whether the person wanted this end. The session is then ``disconnected``, and not in ``error``."""
        return self in (Reason.CANCELLED, Reason.UNLINKED_FROM_PHONE)


_ENGLISH = {
    Reason.QR_TIMEOUT: "WhatsApp did not send a QR code in time. Please try again.",
    Reason.SCAN_TIMEOUT: "The QR code was not scanned in time. Try again and have your phone ready.",
    Reason.SCAN_NOT_REPEATED: "One more scan was needed, but none came. Try again and scan twice if asked.",
    Reason.CANCELLED: "The connection was cancelled.",
    Reason.PAIRING_REJECTED: "WhatsApp refused this scan. Try again and scan the new QR code.",
    Reason.PASSKEY_REQUIRED: (
        "WhatsApp asks your account for a passkey to link devices, which does not work here. Turning the passkey off "
        "does not help. Use another WhatsApp account, or try again in some months."
    ),
    Reason.CLIENT_OUTDATED: "WhatsApp wants a newer version of this service. Please try again later.",
    Reason.ACCOUNT_BANNED: "WhatsApp has blocked this account. Open WhatsApp on your phone to see what to do.",
    Reason.WHATSAPP_UNREACHABLE: "WhatsApp cannot be reached right now. Please try again in a few minutes.",
    Reason.LINKER_FAILED: "The connection could not be completed. Please try again.",
    Reason.UNLINKED_FROM_PHONE: "This device was unlinked on your phone. Connect again to keep using it.",
    Reason.INTERNAL: "Something went wrong on our side. Please try again.",
}

_SPANISH = {
    Reason.QR_TIMEOUT: "WhatsApp no envió un código QR a tiempo. Inténtalo de nuevo.",
    Reason.SCAN_TIMEOUT: "El código QR no se escaneó a tiempo. Inténtalo de nuevo con el teléfono a mano.",
    Reason.SCAN_NOT_REPEATED: (
        "Hacía falta un escaneo más y no llegó a tiempo. Inténtalo de nuevo y escanea otra vez si se te pide."
    ),
    Reason.CANCELLED: "Se canceló la conexión.",
    Reason.PAIRING_REJECTED: "WhatsApp rechazó este escaneo. Inténtalo de nuevo con el código QR nuevo.",
    Reason.PASSKEY_REQUIRED: (
        "WhatsApp pide a tu cuenta una clave de acceso para vincular dispositivos, y aquí no funciona. Desactivarla no "
        "sirve de nada. Usa otra cuenta de WhatsApp o inténtalo de nuevo dentro de unos meses."
    ),
    Reason.CLIENT_OUTDATED: "WhatsApp pide una versión más nueva de este servicio. Inténtalo más tarde.",
    Reason.ACCOUNT_BANNED: "WhatsApp ha bloqueado esta cuenta. Abre WhatsApp en tu teléfono para ver qué hacer.",
    Reason.WHATSAPP_UNREACHABLE: "Ahora mismo no se puede acceder a WhatsApp. Inténtalo dentro de unos minutos.",
    Reason.LINKER_FAILED: "No se pudo completar la conexión. Inténtalo de nuevo.",
    Reason.UNLINKED_FROM_PHONE: "Este dispositivo se desvinculó en tu teléfono. Conéctalo de nuevo para usarlo.",
    Reason.INTERNAL: "Algo ha fallado por nuestra parte. Inténtalo de nuevo.",
}

SENTENCES = {"en": _ENGLISH, "es": _SPANISH}


def sentence(reason: Reason, language: str = "en") -> str:
    """Return what to tell the person, in ``"en"`` or ``"es"``."""
    return SENTENCES[language][reason]
