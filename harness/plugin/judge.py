# SPDX-License-Identifier: MIT
"""From what a scenario did, and what the kernel said, to one verdict.

The order of precedence is the order of evidence: what the kernel under test did wrong is a FAIL
however the scenario ended; what the harness, its host or the scenario's author did wrong is an
ERROR; only a scenario that ended well, with a clean kernel log and reports that hold nothing but
what the provider issued, is a PASS.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import pytest

from harness.errors import (
    ClaimViolatedError,
    HarnessError,
    KernelFault,
    KernelPanicError,
    ScenarioError,
    TsmHarnessError,
)
from harness.guest.call import ActorDiedError, GuestCallError
from harness.guest.guest import Guest
from harness.oracle.content import Issued, Options, check_content
from harness.oracle.kernel_reports import find_reports
from harness.oracle.patterns import ReportKind
from harness.oracle.records import parse_console
from harness.plugin.fixtures import GUEST, SURFACE
from harness.report.verdict import Status
from harness.surfaces.find import Surface
from providers_sim.errors import ProviderError
from providers_sim.transcript import IssuedReport

__all__ = ["Judgement", "classify"]

_FORMATS = ("default", "extended")
_EXIT_SECONDS = 2.0
_MOST_VIOLATIONS = 3


@dataclass(frozen=True)
class Judgement:
    """A verdict and, in a few lines, why."""

    status: Status
    detail: str = ""


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run the scenario, then let the oracles have their say, in its own call phase."""
    guest = pyfuncitem.stash.get(GUEST, None)
    if guest is None:
        return (yield)
    failure: Exception | None = None
    outcome: object = None
    try:
        outcome = yield
    except pytest.skip.Exception:
        raise
    except Exception as error:
        failure = error
    witnesses = _witnesses(guest, pyfuncitem.stash.get(SURFACE, None), failure)
    if not witnesses:
        return outcome
    verdict, *others = witnesses
    words = {str(verdict)}
    for other in others:
        if str(other) not in words:
            verdict.add_note(f"also: {other}")
        words.add(str(other))
    raise verdict


def _witnesses(guest: Guest, surface: Surface | None, failure: Exception | None) -> list[Exception]:
    """All that speaks against a PASS, the most telling first.

    What the kernel said, then a provider that broke (whose failure the scenario would blame on
    the kernel), then what the scenario saw, then what it did not look at.
    """
    log = _log(guest)
    broken = _provider_broke(guest)
    content = _content(guest, surface) if surface is not None and not broken else []
    kernel = [error for error in log if isinstance(error, KernelFault)]
    rest = [error for error in log if error not in kernel]
    return [*kernel, *broken, *([failure] if failure else []), *content, *rest]


def _log(guest: Guest) -> list[TsmHarnessError]:
    try:
        guest.log.verify()
    except KernelFault as error:
        return [error]
    except TsmHarnessError as error:
        return [_panic(guest) or error]
    return []


def _provider_broke(guest: Guest) -> list[TsmHarnessError]:
    error = guest.provider.error if guest.provider is not None else None
    return [HarnessError(f"the simulated provider broke: {error!r}")] if error else []


def _content(guest: Guest, surface: Surface) -> list[TsmHarnessError]:
    if guest.provider is None:
        return []
    guest.settle()
    reports = [_as_issued(serial, one) for serial, one in enumerate(guest.provider.issued)]
    history = surface.history
    violations = check_content(reports, history.reads, history.writes)
    return [ClaimViolatedError(str(violation)) for violation in violations[:_MOST_VIOLATIONS]]


def _as_issued(serial: int, one: IssuedReport) -> Issued:
    request, evidence = one.request, one.evidence
    known = request.format < len(_FORMATS)
    options = Options(
        inblob=request.inblob,
        privlevel=request.privlevel,
        format=_FORMATS[request.format] if known else None,
    )
    blobs = (evidence.outblob, evidence.auxblob, evidence.manifestblob)
    return Issued(serial, *blobs, options, int(one.time * 1e9))


def _panic(guest: Guest) -> KernelPanicError | None:
    """What a dead guest's kernel said on its console: the only witness left."""
    if not guest.machine.wait_for_exit(_EXIT_SECONDS):
        return None
    reports = find_reports(parse_console(guest.machine.console_bytes()))
    last = [one for one in reports if one.kind in (ReportKind.PANIC, ReportKind.OOPS)]
    if not last:
        return None
    titles = "; ".join(one.title for one in last[:3])
    return KernelPanicError(f"the guest's kernel ended after it had been ready: {titles}")


def classify(error: BaseException | None) -> Judgement:
    """What an exception that ended a scenario means; None is a scenario that ended well."""
    match error:
        case None:
            return Judgement(Status.PASS)
        case pytest.skip.Exception():
            return Judgement(Status.SKIP, str(error))
        case KernelFault() | AssertionError() | GuestCallError():
            return Judgement(Status.FAIL, _words(error))
        case ScenarioError():
            return Judgement(Status.ERROR, f"scenario: {_words(error)}")
        case HarnessError() | ProviderError() | ActorDiedError():
            return Judgement(Status.ERROR, f"harness: {_words(error)}")
        case _:
            kind = type(error).__name__
            return Judgement(Status.ERROR, f"scenario or harness broke: {kind}: {_words(error)}")


def _words(error: BaseException) -> str:
    hint = getattr(error, "hint", "")
    notes = getattr(error, "__notes__", [])
    return "\n".join([str(error), *notes, *([f"hint: {hint}"] if hint else [])])
