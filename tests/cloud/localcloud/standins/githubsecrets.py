"""GitHub Actions secrets of one repository and its environments; part of `github.py`.

A value arrives in a libsodium sealed box for the scope's public key and is opened here. Names are stored in capital
letters; times have whole seconds. Documented ("REST API endpoints for GitHub Actions Secrets"): calls, fields, statuses
of successful calls, `encrypted_value` in Base64. Assumed: one key pair per scope, the texts of the errors, and the
limit of 48 KB for a value.
"""

from __future__ import annotations

import base64
import dataclasses
import re
import secrets
import time
from typing import Any

import nacl.exceptions
import nacl.public

REPOSITORY = "repository"
MOST_BYTES = 48 * 1024

# Status and body; None is an empty body.
Result = tuple[int, dict[str, Any] | None]


class Refused(Exception):
    """An error response of GitHub."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class KeyPair:
    """The key pair that seals and opens values."""

    def __init__(self) -> None:
        self.id = str(secrets.randbelow(9 * 10**17) + 10**17)
        self._private = nacl.public.PrivateKey.generate()

    @property
    def public(self) -> str:
        return base64.b64encode(bytes(self._private.public_key)).decode()

    def opened(self, sealed: str) -> str:
        try:
            content = base64.b64decode(sealed, validate=True)
            value = nacl.public.SealedBox(self._private).decrypt(content)
            if not 0 < len(value) <= MOST_BYTES:
                raise Refused(422, "Secret value must have 1 to 49152 bytes")
            return value.decode()
        except (ValueError, TypeError, nacl.exceptions.CryptoError):
            raise Refused(422, "Improperly encrypted secret") from None


@dataclasses.dataclass
class Secret:
    """A secret of a scope, with times in GitHub's format."""

    value: str = dataclasses.field(repr=False)
    created_at: str
    updated_at: str


class ActionsSecrets:
    """The secrets by scope (`repository`, or `environment:` and its name) and name."""

    def __init__(self) -> None:
        self._keys: dict[str, KeyPair] = {}
        self.kept: dict[tuple[str, str], Secret] = {}

    def key(self, scope: str) -> KeyPair:
        return self._keys.setdefault(scope, KeyPair())

    def replace_keys(self) -> None:
        """Replaces the key pairs; values sealed for the former ones can no longer be opened."""
        self._keys.clear()

    def forget(self) -> int:
        removed = len(self.kept)
        self.kept.clear()
        return removed

    def public_key(self, scope: str) -> Result:
        key = self.key(scope)
        return 200, {"key_id": key.id, "key": key.public}

    def read(self, scope: str, name: str) -> Result:
        found = self.kept.get((scope, name.upper()))
        if found is None:
            raise Refused(404, "Not Found")
        return 200, {"name": name.upper(), "created_at": found.created_at, "updated_at": found.updated_at}

    def write(self, scope: str, name: str, given: dict[str, Any], lose: bool) -> Result:
        """Stores a value; with `lose`, answers the same and stores nothing."""
        checked = checked_name(name)
        for field in ("encrypted_value", "key_id"):
            if not isinstance(given.get(field), str):
                raise Refused(422, f'Invalid request.\n\n"{field}" wasn\'t supplied.')
        if given["key_id"] != self.key(scope).id:
            raise Refused(422, "Bad key_id: it is not that of the current public key")
        value = self.key(scope).opened(given["encrypted_value"])
        there = (scope, checked) in self.kept
        if not lose:
            self.put(scope, checked, value)
        return (204, None) if there else (201, {})

    def put(self, scope: str, name: str, value: str, updated_at: str | None = None) -> None:
        now = updated_at or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        former = self.kept.get((scope, name))
        self.kept[scope, name] = Secret(value, former.created_at if former else now, now)

    def shown(self) -> list[dict[str, Any]]:
        return [
            {"scope": scope, "name": name, **dataclasses.asdict(secret)} for (scope, name), secret in self.kept.items()
        ]


def checked_name(name: str) -> str:
    """The name in its stored form."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Refused(
            422,
            "Secret names can only contain alphanumeric characters ([a-z], [A-Z], [0-9]) or underscores (_). Spaces "
            "are not allowed. Must start with a letter ([a-z], [A-Z]) or underscores (_).",
        )
    if name.upper().startswith("GITHUB_"):
        raise Refused(422, "Secret names must not start with GITHUB_.")
    return name.upper()
