"""Stands in for Supabase Auth: it adds users, and signs access tokens as Supabase signs them."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import jwt
import psycopg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from infra.errors import ToolError
from infra.sandbox.files import write_atomically

TOKEN_SECONDS = 3600
CURVE = ec.SECP256R1()


class SupabaseAuth:
    """Issues tokens with a key that stays the same between runs.

    Parameters
    ----------
    key_path
        The file of the key. It is made if it is missing.
    supabase_url
        The parameter SupabaseUrl, without a slash at the end.
    database_url
        The database with the users.

    Raises
    ------
    ToolError
        The file holds no such key.
    """

    def __init__(self, key_path: Path, supabase_url: str, database_url: str) -> None:
        self._key = _load_key(key_path)
        self._issuer = f"{supabase_url}/auth/v1"
        self._database_url = database_url
        public = json.loads(ECAlgorithm.to_jwk(self._key.public_key()))
        self._key_id = str(uuid.uuid5(uuid.NAMESPACE_OID, public["x"] + public["y"]))
        self.jwks = {"keys": [public | {"kid": self._key_id, "alg": "ES256", "use": "sig", "key_ops": ["verify"]}]}

    def sign_in(self, user_id: uuid.UUID | None, level: str = "aal1") -> dict[str, str]:
        """Return a token of this user, or of a new user, with this claim ``aal``. A missing user is added."""
        user = user_id or uuid.uuid4()
        email = f"{user}@example.test"
        with psycopg.connect(self._database_url, autocommit=True, prepare_threshold=None) as connection:
            connection.execute(
                "insert into auth.users (id, email) values (%s, %s) on conflict (id) do nothing",
                (user, email),
            )
        return {"accessToken": self._token(user, email, level), "userId": str(user)}

    def _token(self, user: uuid.UUID, email: str, level: str) -> str:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": "authenticated",
            "role": "authenticated",
            "sub": str(user),
            "email": email,
            "session_id": str(uuid.uuid4()),
            "aal": level,
            "is_anonymous": False,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
        }
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": self._key_id})


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        new = ec.generate_private_key(CURVE)
        pem = new.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_atomically(path, pem)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ToolError(f"cannot read the signing key {path}: {error}. Remove it to get a new one.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != CURVE.name:
        raise ToolError(f"the signing key {path} is of another kind than ES256. Remove it to get a new one.")
    return key
