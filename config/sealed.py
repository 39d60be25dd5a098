"""Encryption at rest of what we may need and nobody may read: national ids.

AES-256-GCM: what was changed, or was sealed by a key that we do not have, is never opened to something else. Each seal
names its key, so that keys can be rolled over: the first of ``SEALING_KEYS`` seals, all of them open. Without the
setting a key is made once, in ``{var}/sealing.key``: whoever has several hosts, or keeps the database without ``var/``,
sets it. A key that is lost takes what it sealed with it; customers are asked again.

Layout of a seal: ``0x01``, 4 bytes of the key's name, 12 bytes of chance, then the text and its tag.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from config.once import kept
from config.settings import Settings
from config.values import sealing_key

_VERSION = b"\x01"
_NAME, _CHANCE = 4, 12
_HEAD = len(_VERSION) + _NAME
KEY_FILE = "sealing.key"


class Unsealable(RuntimeError):
    """What is sealed cannot be opened. The text of the error says nothing of what is in it."""


class UnknownKey(Unsealable):
    """It was sealed by a key that is not among ours (any more)."""


class BrokenSeal(Unsealable):
    """It is not a seal of ours, or was changed since."""


class Sealing:
    """Seals with the first of its keys (32 bytes each) and opens with all of them. Safe in several threads."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("sealing needs a key")
        self._first = _name(keys[0])
        self._keys = {_name(key): AESGCM(key) for key in reversed(keys)}

    def seal(self, text: str) -> bytes:
        """Return the text sealed; twice the same text gives two different seals."""
        head, chance = _VERSION + self._first, secrets.token_bytes(_CHANCE)
        return head + chance + self._keys[self._first].encrypt(chance, text.encode(), head)

    def open(self, sealed: bytes) -> str:
        """Return the text of a seal. Raises UnknownKey, BrokenSeal."""
        head, chance = sealed[:_HEAD], sealed[_HEAD : _HEAD + _CHANCE]
        if head[:1] != _VERSION or len(sealed) < _HEAD + _CHANCE:
            raise BrokenSeal("that is not a seal of ours")
        key = self._keys.get(head[1:])
        if key is None:
            raise UnknownKey("sealed by a key that is not in SEALING_KEYS")
        try:
            return key.decrypt(chance, sealed[_HEAD + _CHANCE :], head).decode()
        except (InvalidTag, UnicodeDecodeError):
            raise BrokenSeal("the seal was changed") from None

    def is_of_first(self, sealed: bytes) -> bool:
        """Say whether a seal is of the key that seals today; one that is not holds an old key in use."""
        return sealed[:_HEAD] == _VERSION + self._first


def sealing(settings: Settings) -> Sealing:
    """Return the sealing of these settings; without keys in them, that of the key kept in ``var/``."""
    keys = settings.sealing_keys or (kept(settings.var / KEY_FILE, new_key),)
    return Sealing([sealing_key(key) for key in keys])


def new_key() -> str:
    """Return a fresh key as ``SEALING_KEYS`` takes it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _name(key: bytes) -> bytes:
    return hashlib.sha256(b"brikke sealing key:" + key).digest()[:_NAME]
