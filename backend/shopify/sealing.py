"""Access tokens at rest: AES-256-GCM, the key not in the database, bound to the shop and to what they are."""

import base64
import binascii
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12
FORMAT = "v1"


class Unreadable(Exception):
    """Sealed with another key, for another shop, or damaged: as good as no token."""


class Sealer:
    def __init__(self, key: str) -> None:
        derived = HKDF(SHA256(), KEY_BYTES, salt=None, info=b"tryon shopify tokens").derive(key.encode())
        self._cipher = AESGCM(derived)

    def seal(self, secret: str, shop: str, purpose: str) -> str:
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, secret.encode(), _associated(shop, purpose))
        return f"{FORMAT}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def unseal(self, text: str, shop: str, purpose: str) -> str:
        """Raises `Unreadable`."""
        version, _, encoded = text.partition(".")
        try:
            raw = base64.urlsafe_b64decode(encoded.encode("ascii"))
            if version != FORMAT or len(raw) <= NONCE_BYTES:
                raise Unreadable
            return self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _associated(shop, purpose)).decode()
        except (InvalidTag, binascii.Error, UnicodeError) as error:
            raise Unreadable from error


def _associated(shop: str, purpose: str) -> bytes:
    return f"{FORMAT}\n{shop}\n{purpose}".encode()
