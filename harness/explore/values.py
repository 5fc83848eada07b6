# SPDX-License-Identifier: MIT
"""Values at the boundaries of the interface: nonces, numbers, names, lengths, offsets."""

from __future__ import annotations

import errno
import uuid
from functools import lru_cache

from harness.interface.names import AttributeName
from harness.model.interface import InterfaceVersion
from harness.model.steps import Behaviour

__all__ = [
    "CHUNKS",
    "OFFSETS",
    "behaviours",
    "nonce_values",
    "ordinary_nonce",
    "ordinary_text",
    "text_values",
]

_GUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")

CHUNKS = (1, 7, 63, 64, 100, 4095, 4096, 4097, 65536)
"""Sizes of the pieces in which a blob is read."""

OFFSETS = (0, 1, 63, 64, 95, 96, 97, 255, 256, 4095, 4096, 4097, 8192, 12288, 32767, 32768, 65536)
"""Offsets from which a blob is read."""

_ERRNOS = ("EIO", "ENOMEM", "EINVAL", "EBUSY", "EAGAIN", "EINTR", "EFBIG", "ETIMEDOUT", "ENXIO",
           "ENOSPC", "EPERM", "ENODATA", "EOPNOTSUPP", "ENOTTY", "ENOENT", "EACCES")  # fmt: skip


@lru_cache(maxsize=4096)
def ordinary_nonce(number: int, length: int = 64) -> bytes:
    """A nonce without a repeated byte pattern; different for every number."""
    return bytes((number * 37 + position * 11 + 1) % 255 + 1 for position in range(length))


def nonce_values(version: InterfaceVersion) -> dict[str, tuple[tuple[int | None, bytes], ...]]:
    """Pieces that are written to the nonce in one open file, by value class."""
    if version.hexadecimal:
        return {name: ((None, text),) for name, text in _HEXADECIMAL.items()}
    whole = ordinary_nonce(1)
    values: dict[str, tuple[tuple[int | None, bytes], ...]] = {
        f"{length} bytes": ((None, ordinary_nonce(length, length)),)
        for length in (1, 2, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 66, 127, 128, 4096, 4097)
    }
    values["0 bytes"] = ((None, b""),)
    values["no write"] = ()
    values["zeroes"] = ((None, bytes(64)),)
    values["zeroes at the end"] = ((None, whole[:30] + bytes(2)),)
    values["zeroes at the start"] = ((None, bytes(2) + whole[:30]),)
    values["a zero byte"] = ((None, b"\0"),)
    values["high bytes"] = ((None, bytes(range(192, 256))),)
    values["line feeds"] = ((None, b"\n" * 32),)
    values["two pieces"] = ((None, whole[:32]), (None, whole[32:]))
    values["many pieces"] = tuple((None, whole[n : n + 8]) for n in range(0, 64, 8))
    values["a piece too many"] = ((None, whole), (None, b"x"))
    values["too long, then short"] = ((None, whole + b"x"), (None, b"x"))
    values["a hole"] = ((30, b"ab"),)
    values["at the end"] = ((0, whole[:16]), (16, whole[16:32]))
    values["overwritten"] = ((0, whole[:32]), (8, b"abcdefgh"))
    values["beyond the end"] = ((64, b"x"),)
    values["far beyond"] = ((1 << 40, b"x"),)
    return values


_HEXADECIMAL: dict[str, bytes] = {
    **{
        f"{length} bytes": ordinary_nonce(length, length).hex().encode()
        for length in (1, 2, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 128)
    },
    "line feed": ordinary_nonce(3).hex().encode() + b"\n",
    "capitals": ordinary_nonce(4, 32).hex().upper().encode(),
    "mixed case": b"aAbBcCdDeEfF" * 4,
    "odd digits": b"abc",
    "no digits": b"xyzz",
    "a blank inside": b"ab cd",
    "a line feed inside": b"abcd\nef12",
    "0x": b"0xabcd",
    "zeroes": b"00" * 64,
    "a digit too many": b"ab" * 64 + b"c",
    "empty": b"",
    "line feed alone": b"\n",
    "dash": b"ab-cd",
    "colon": b"ab:cd:",
    "g": b"abcg",
}

_NUMBERS: dict[str, bytes] = {
    "0": b"0",
    "1": b"1\n",
    "2": b"2",
    "3": b"3\n",
    "4": b"4",
    "5": b"5\n",
    "255": b"255",
    "256": b"256",
    "257": b"257",
    "65535": b"65535",
    "65536": b"65536",
    "65537": b"65537",
    "65538": b"65538\n",
    "2^31": b"2147483648",
    "2^32-1": b"4294967295",
    "2^32": b"4294967296",
    "2^32+1": b"4294967297\n",
    "2^63": b"9223372036854775808",
    "2^64": b"18446744073709551616",
    "2^64+1": b"18446744073709551617",
    "minus 1": b"-1",
    "minus 0": b"-0",
    "plus": b"+2",
    "hexadecimal": b"0x2\n",
    "octal": b"02",
    "blank before": b" 2",
    "blank after": b"2 ",
    "two line feeds": b"2\n\n",
    "line feed alone": b"\n",
    "empty": b"",
    "letters": b"two",
    "number, letters": b"2x",
    "letter at the end": b"3g\n",
    "fraction": b"1.5",
    "two numbers": b"1 2",
    "NUL inside": b"1\x002",
    "long zeroes": b"0" * 40 + b"1",
    "page": b"1" * 4096,
}

_WORDS: dict[str, bytes] = {
    "default": b"default",
    "default, line feed": b"default\n",
    "extended": b"extended",
    "extended, line feed": b"extended\n",
    "capitals": b"EXTENDED",
    "prefix": b"ext",
    "longer": b"extendedx",
    "blank": b" extended",
    "number": b"1",
    "out of range": b"2",
    "empty": b"",
    "line feed alone": b"\n",
    "page": b"d" * 4096,
}

_GUIDS: dict[str, bytes] = {
    "guid": str(_GUID).encode(),
    "line feed": str(_GUID).encode() + b"\n",
    "capitals": str(_GUID).upper().encode(),
    "zeroes": str(uuid.UUID(int=0)).encode(),
    "ones": str(uuid.UUID(int=(1 << 128) - 1)).encode(),
    "too short": str(_GUID)[:-1].encode(),
    "too long": str(_GUID).encode() + b"0",
    "braces": f"{{{_GUID}}}".encode(),
    "no dashes": _GUID.hex.encode(),
    "a wrong digit": str(_GUID).replace("a", "g").encode(),
    "dash moved": b"0011223-34455-6677-8899-aabbccddeeff",
    "empty": b"",
    "letters": b"none",
}

_SERVICES: dict[str, bytes] = {
    "name": b"svsm",
    "line feed": b"svsm\n",
    "other name": b"other",
    "15 characters": b"a23456789012345",
    "16 characters": b"a234567890123456",
    "31 characters": b"b" * 31,
    "64 characters": b"c" * 64,
    "255 characters": b"d" * 255,
    "256 characters": b"e" * 256,
    "1000 characters": b"f" * 1000,
    "blank inside": b"a service",
    "line feed inside": b"two\nlines",
    "high bytes": b"\xc3\xa4\xff",
    "empty": b"",
    "line feed alone": b"\n",
    "NUL inside": b"sv\0sm",
}


def text_values(attribute: AttributeName) -> dict[str, bytes]:
    """Texts for one write of an option, by value class."""
    if attribute == "format":
        return _WORDS
    if attribute == "service_guid":
        return _GUIDS
    if attribute == "service_provider":
        return _SERVICES
    return _NUMBERS


def ordinary_text(attribute: AttributeName, number: int) -> bytes:
    """A value that every implementation must accept; neighbours differ."""
    if attribute == "format":
        return (b"default\n", b"extended\n")[number % 2]
    if attribute == "service_guid":
        return str(uuid.UUID(int=(number + 1) * 0x1234_5678_9ABC_DEF1)).encode() + b"\n"
    if attribute == "service_provider":
        return f"svc{number % 100}\n".encode()
    if attribute == "privlevel":
        return b"%d\n" % (1 + number % 3)
    return b"%d\n" % (number * 70001 + 1)


def behaviours(version: InterfaceVersion) -> dict[str, Behaviour]:
    """What the provider can do with a request, by value class.

    A driver that keeps the lengths of absent blobs is not among them: see ``orders.vanishing``.
    """
    most = min(version.outblob_max, 32768)
    found = {name: Behaviour(-getattr(errno, name)) for name in _ERRNOS}
    found |= {f"positive {value}": Behaviour(value) for value in (1, 64, 4095)}
    found["code of the kernel"] = Behaviour(-512)
    lengths = (1, 63, 65, 255, 256, 257, 4095, 4096, 4097, 8191, 8192, 8193, 16384, 20000,
               most - 1, most)  # fmt: skip
    found |= {f"{length} bytes": Behaviour(lengths=(length, 0, 0)) for length in lengths}
    found["in vmalloc"] = Behaviour(lengths=(300, 0, 0), vmalloc=True)
    found["no outblob"] = Behaviour(lengths=(0, 0, 0))
    if version.outblob_max == most:
        found["too long"] = Behaviour(lengths=(most + 1, 0, 0))
    if "auxblob" in version.attributes:
        found["no outblob, auxblob"] = Behaviour(lengths=(0, 50, 0))
        for length in (1, 96, 4097, most):
            found[f"auxblob of {length}"] = Behaviour(lengths=(96, length, 0))
        if version.outblob_max == most:
            found["too long, auxblob"] = Behaviour(lengths=(most + 1, 50, 60))
            found["auxblob too long"] = Behaviour(lengths=(96, most + 1, 0))
    if "manifestblob" in version.attributes:
        for length in (1, 97, 4097):
            found[f"manifestblob of {length}"] = Behaviour(lengths=(96, 0, length))
        found["three blobs"] = Behaviour(lengths=(96, 200, 300))
        found["three blobs in vmalloc"] = Behaviour(lengths=(96, 200, 300), vmalloc=True)
        if version.outblob_max == most:
            found["manifestblob too long"] = Behaviour(lengths=(96, 20, most + 1))
    return found
