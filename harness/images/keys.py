# SPDX-License-Identifier: MIT
"""Makes the keys for ssh into a guest, once for a cache; every image made with it has them.

Formats: RFC 4253 and RFC 8709 for public keys; dropbear stores an Ed25519 host key as the SSH
strings "ssh-ed25519" and seed || public key (dropbear's signkey.c and ed25519.c).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from harness.cache import Cache

__all__ = ["SshKeys", "ssh_keys"]

_TYPE = b"ssh-ed25519"
_LAYOUT = "1"


@dataclass(frozen=True)
class SshKeys:
    """The keys of client and guest.

    ``client_private`` is the client's key file and ``authorized`` its line in ``authorized_keys``.
    ``host_public`` is the guest's public key as SSH sends it, ``host_dropbear`` the content of
    dropbear's private key file.
    """

    client_private: Path
    authorized: bytes
    host_public: bytes
    host_dropbear: bytes


def ssh_keys(cache: Cache) -> SshKeys:
    """Return the keys of ``cache``; make them at the first call."""
    directory = cache.get_or_make("ssh", _LAYOUT, _make, private=True)
    client = load_ssh_private_key((directory / "client").read_bytes(), None)
    host = load_ssh_private_key((directory / "host").read_bytes(), None)
    assert isinstance(client, Ed25519PrivateKey) and isinstance(host, Ed25519PrivateKey)
    line = client.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    public = host.public_key().public_bytes_raw()
    return SshKeys(
        client_private=directory / "client",
        authorized=line + b" tsm-harness\n",
        host_public=_string(_TYPE) + _string(public),
        host_dropbear=_string(_TYPE) + _string(host.private_bytes_raw() + public),
    )


def _make(directory: Path) -> None:
    for name in ("client", "host"):
        key = Ed25519PrivateKey.generate()
        path = directory / name
        path.touch(mode=0o600)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
