"""The command line of the runner."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from whatsapp_pairing.core.errors import MisconfiguredError
from whatsapp_pairing.runtime.database_url import normalised

ROOT = Path(__file__).resolve().parents[2]

# The functions log in as one of three roles: whatsapp_api, whatsapp_worker or whatsapp_engine.
LOGIN_NAMES = ("api", "worker", "engine")


@dataclass(frozen=True)
class Options:
    """The options of one run."""

    host: str = "127.0.0.1"
    port: int = 3000
    database_url: str | None = None
    login_urls: Mapping[str, str] = field(default_factory=dict)
    may_delete: bool = False
    data_dir: Path = Path(".local")
    template: Path = ROOT / "template.yaml"
    whatsapp: str = "sandbox"
    whatsapp_proxy: str = ""
    whatsapp_ca: Path = Path()
    whatsapp_root: str = ""
    built: Path | None = None
    built_python: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line. A wrong one ends the program with a message, as argparse does."""
    parser = _parser()
    given = parser.parse_args(arguments)
    mode = "live" if given.live else given.whatsapp
    if mode == "external" and not (given.whatsapp_proxy and given.whatsapp_ca and given.whatsapp_root):
        parser.error("--whatsapp external needs --whatsapp-proxy, --whatsapp-ca and --whatsapp-root")
    if not given.database_url and any(getattr(given, f"{login}_database_url") for login in LOGIN_NAMES):
        parser.error("the URLs of the roles need --database-url")
    if mode != "external" and (given.whatsapp_proxy or given.whatsapp_ca or given.whatsapp_root):
        parser.error("--whatsapp-proxy, --whatsapp-ca and --whatsapp-root need --whatsapp external")
    parameters = dict(given.parameter)
    if given.qr_seconds is not None:
        parameters["QrTimeoutSeconds"] = str(given.qr_seconds)
    if given.auth_seconds is not None:
        parameters["AuthTimeoutSeconds"] = str(given.auth_seconds)
    return Options(
        host=given.host,
        port=given.port,
        database_url=given.database_url,
        login_urls={login: url for login in LOGIN_NAMES if (url := getattr(given, f"{login}_database_url"))},
        may_delete=given.may_delete,
        data_dir=given.data_dir,
        template=given.built.resolve() / "template.yaml" if given.built else given.template,
        whatsapp=mode,
        whatsapp_proxy=given.whatsapp_proxy or "",
        whatsapp_ca=given.whatsapp_ca or Path(),
        whatsapp_root=given.whatsapp_root or "",
        built=given.built.resolve() if given.built else None,
        built_python=given.built_python,
        parameters=parameters,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local", description="Run template.yaml on this machine.", allow_abbrev=False
    )
    parser.add_argument("--host", type=_given, default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument(
        "--port", type=_port, default=3000, help="port of the HTTP API; 0 for a free one (default 3000)"
    )
    parser.add_argument(
        "--database-url", metavar="URL", type=_database_url, help="use this Postgres (default: an embedded one)"
    )
    for login in LOGIN_NAMES:
        parser.add_argument(
            f"--{login}-database-url", metavar="URL", type=_database_url,
            help=f"with --database-url: how whatsapp_{login} logs in there (default: without a password)",
        )  # fmt: skip
    parser.add_argument(
        "--may-delete", action="store_true",
        help="with --database-url: let cleanup, unlink and Disconnect delete there",
    )  # fmt: skip
    parser.add_argument(
        "--data-dir", type=_path, default=Path(".local"), help="keeps data between runs (default .local)"
    )
    parser.add_argument(
        "--qr-seconds", type=_seconds, help="how long the QR may take to come (QrTimeoutSeconds, 15 to 150)"
    )
    parser.add_argument(
        "--auth-seconds", type=_seconds, help="how long the scan may take (AuthTimeoutSeconds, 15 to 150)"
    )
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--whatsapp", choices=("sandbox", "live", "external"), default="sandbox")
    modes.add_argument("--live", action="store_true", help="the real WhatsApp: --whatsapp live")
    parser.add_argument("--whatsapp-proxy", metavar="URL", help="external: CONNECT proxy of that WhatsApp")
    parser.add_argument("--whatsapp-ca", metavar="FILE", type=Path, help="external: its certificate authority")
    parser.add_argument("--whatsapp-root", metavar="HEX", help="external: its Noise trust root, 32 bytes")
    parser.add_argument(
        "--built", metavar="DIR", type=Path, nargs="?", const=ROOT / ".aws-sam" / "build",
        help="run the artifacts of `make build`, on python3.13 (default .aws-sam/build)",
    )  # fmt: skip
    parser.add_argument("--built-python", metavar="FILE", help="with --built: its python3.13 (default: $TARGET_PYTHON)")
    parser.add_argument("--template", type=Path, default=ROOT / "template.yaml", help=argparse.SUPPRESS)
    parser.add_argument(
        "--parameter", metavar="NAME=VALUE", type=_assignment, action="append", default=[],
        help="value of a template parameter; may be given several times",
    )  # fmt: skip
    return parser


def _given(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text


def _path(text: str) -> Path:
    return Path(_given(text))


def _port(text: str) -> int:
    if not (_is_number(text) and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 0 to 65535")
    return int(text)


def _database_url(text: str) -> str:
    try:
        return normalised(text)
    except MisconfiguredError as error:
        raise argparse.ArgumentTypeError(error.message) from None


def _seconds(text: str) -> int:
    if not (_is_number(text) and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 1 or more")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _assignment(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
