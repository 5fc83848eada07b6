# SPDX-License-Identifier: MIT
"""The report of an entry: whether it may be made by these requests, and what a reader then gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.interface.names import AttributeName
from harness.model.interface import InterfaceVersion
from harness.model.outcome import Blobs, Outcome, SeenRequest
from harness.model.world import Entry, World

__all__ = ["ANY_ERROR", "Serving", "eager_results", "matches", "servings"]

ANY_ERROR = -1
"""In place of an errno: every error is allowed."""

_LAST_ERRNO = 511  # higher numbers are codes of the kernel for itself


@dataclass(frozen=True)
class Serving:
    """One way in which a read may end: with ``blobs``, or with ``error``.

    ``entry`` is the entry afterwards.
    """

    entry: Entry
    blobs: Blobs | None = None
    error: int = 0


def matches(
    entry: Entry, request: SeenRequest, version: InterfaceVersion, deviations: frozenset[str]
) -> bool:
    """Whether a request has exactly the options of the entry."""
    tail = (request.array or b"")[len(request.nonce) :]
    if tail.strip(b"\0") and "T3" not in deviations:
        return False
    return (
        request.nonce == entry.nonce
        and request.privlevel == entry.privlevel
        and request.format == entry.format
        and (not version.services or _services_match(entry, request))
    )


def _services_match(entry: Entry, request: SeenRequest) -> bool:
    return (
        (request.service_provider or b"") == entry.service_provider
        and (request.service_guid or bytes(16)) == entry.service_guid
        and request.manifest_version == entry.service_manifest_version
    )


def servings(
    world: World,
    entry: Entry,
    attribute: AttributeName,
    outcome: Outcome,
    version: InterfaceVersion,
    deviations: frozenset[str],
    *,
    nobody: bool = False,
) -> Iterator[Serving]:
    """Every allowed way to serve a blob, given the requests that were seen."""
    requests = outcome.requests
    current = world.provider is not None and entry.epoch == world.epoch
    if nobody and not requests:
        yield Serving(entry, error=ANY_ERROR)
    if not current and not requests:
        yield Serving(entry, error=ANY_ERROR)
        if entry.report is not None and "F6" in deviations:
            yield Serving(entry, entry.report)
        return
    if world.provider is None:
        return
    if not entry.nonce:
        if not requests:
            yield Serving(entry, error=ANY_ERROR)
        return
    if entry.report is not None:
        if not requests:
            yield from _answers(entry, entry.report, attribute, version)
        return
    if entry.early_error and not requests:
        yield Serving(entry, error=entry.early_error)
    if len(requests) == 1 and matches(entry, requests[0], version, deviations):
        yield from _after_request(entry, requests[0], attribute, version, deviations)


def _after_request(
    entry: Entry,
    request: SeenRequest,
    attribute: AttributeName,
    version: InterfaceVersion,
    deviations: frozenset[str],
) -> Iterator[Serving]:
    value = request.behaviour.value
    if value or request.blobs is None:
        yield Serving(entry.failed(), error=_errno_of(value))
        if value > 0 and "P12" in deviations:
            yield Serving(entry.failed(), Blobs(-1, b"", b"", b""))
        return
    blobs = request.blobs
    yield from _answers(entry.made(blobs), blobs, attribute, version)
    if not _sound(blobs, version):  # the whole report may be refused for one of its parts
        yield Serving(entry.failed(), error=ANY_ERROR)


def _answers(
    entry: Entry, blobs: Blobs, attribute: AttributeName, version: InterfaceVersion
) -> Iterator[Serving]:
    """The ways to serve one blob of a report that was made."""
    blob = blobs.of(attribute)
    if len(blob) > version.outblob_max or (attribute == "outblob" and not blob):
        yield Serving(entry, error=ANY_ERROR)
    if len(blob) <= version.outblob_max:
        yield Serving(entry, blobs)


def _sound(blobs: Blobs, version: InterfaceVersion) -> bool:
    lengths = [len(blobs.of(name)) for name in ("outblob", "auxblob", "manifestblob")]
    return bool(blobs.outblob) and max(lengths) <= version.outblob_max


def _errno_of(value: int) -> int:
    return -value if -_LAST_ERRNO <= value < 0 else ANY_ERROR


def eager_results(
    entry: Entry, outcome: Outcome, version: InterfaceVersion, deviations: frozenset[str]
) -> Iterator[Entry]:
    """The entry after a write, for an implementation that may make the report at once."""
    requests = outcome.requests
    if not requests:
        yield entry
        return
    if len(requests) != 1 or not matches(entry, requests[0], version, deviations):
        return
    request = requests[0]
    if request.blobs is None:
        yield entry.failed(_errno_of(request.behaviour.value))
        return
    yield entry.made(request.blobs)
    if not _sound(request.blobs, version):
        yield entry.failed(ANY_ERROR)
