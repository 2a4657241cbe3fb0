"""Reading signed tokens (RFC 7519, compact form): of service accounts (RS256) and of push senders (ES256)."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils


class BadToken(Exception):
    """Why a token is not believed."""


def decode(text: str) -> bytes:
    """Base64 for URLs, with or without padding. Raises BadToken."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise BadToken("It is not base64.") from error


def encode(data: bytes) -> str:
    """Base64 for URLs without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read(token: str, key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, *, now: float) -> dict[str, Any]:
    """The claims of a token that this key signed and that is not over. Raises BadToken."""
    parts = token.split(".")
    if len(parts) != 3:
        raise BadToken("It has not three parts.")
    signed, signature = ".".join(parts[:2]).encode(), decode(parts[2])
    try:
        algorithm = json.loads(decode(parts[0]))["alg"]
        claims = json.loads(decode(parts[1]))
        expires_at = float(claims["exp"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadToken("Its head or its claims cannot be read.") from error
    try:
        if isinstance(key, rsa.RSAPublicKey):
            _expect(algorithm, "RS256")
            key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            _expect(algorithm, "ES256")
            if len(signature) != 64:
                raise BadToken("Its signature has not 64 bytes.")
            r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
            key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise BadToken("Its signature is wrong.") from error
    if expires_at <= now:
        raise BadToken("It is over.")
    return dict(claims)


def _expect(algorithm: object, wanted: str) -> None:
    # Whoever believes the token's own word about its algorithm believes one that is signed with nothing.
    if algorithm != wanted:
        raise BadToken(f"It is signed with {algorithm}, not with {wanted}.")
