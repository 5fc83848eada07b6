# SPDX-License-Identifier: MIT
"""From what a scenario did, and what the kernel said, to one verdict.

The order of precedence is the order of evidence: what the kernel under test did wrong is a FAIL
however the scenario ended; what the harness, its host or the scenario's author did wrong is an
ERROR; only a scenario that ended well, with a clean kernel log and reports that hold nothing but
what the provider issued, is a PASS.
"""

from __future__ import annotations

import traceback
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

import harness
import providers_sim
from harness.detectors import SplatKind
from harness.errors import (
    ActorDiedError,
    ClaimViolatedError,
    GuestCallError,
    HarnessError,
    InterfaceCallError,
    KernelFault,
    KernelPanicError,
    KernelSplatError,
    MissingAttributeError,
    ScenarioError,
    TsmHarnessError,
)
from harness.guest.guest import Guest
from harness.interface.find import Interface
from harness.oracle.content import Issued, Options, check_content
from harness.oracle.records import parse_console
from harness.oracle.splats import find_splats
from harness.plugin.stash import GUEST, INTERFACE
from harness.verdict import Status
from providers_sim import ProviderError
from providers_sim.transcript import IssuedReport

__all__ = ["Judgement", "classify", "weigh"]

_FORMATS = ("default", "extended")
_EXIT_SECONDS = 2.0
_MOST_VIOLATIONS = 3
# The agent's init has the kernel report tasks that wait uninterruptibly for longer (init.c).
_HUNG_TASK_SECONDS = 5.0
_LAST_WORDS = (
    SplatKind.PANIC,
    SplatKind.OOPS,
    SplatKind.LOCKUP,
    SplatKind.RCU_STALL,
    SplatKind.HUNG_TASK,
)
_OURS = tuple(str(Path(package.__path__[0])) for package in (harness, providers_sim))


@dataclass(frozen=True)
class Judgement:
    """A verdict and, in a few lines, why."""

    status: Status
    detail: str = ""


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run the scenario, then let the oracles have their say, in its own call phase."""
    failure: BaseException | None = None
    outcome: object = None
    try:
        outcome = yield
    except MissingAttributeError as error:
        failure = pytest.skip.Exception(f"the scope of the scenario did not predict it: {error}")
    except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:
        failure = error
    verdict = weigh(pyfuncitem, failure)
    if verdict is not None:
        raise verdict
    return outcome


def weigh(item: pytest.Item, failure: BaseException | None) -> BaseException | None:
    """What decides about a scenario that ended with ``failure``, all else in its notes.

    None when nothing speaks against a PASS. Without a guest ``failure`` itself decides.
    """
    guest = item.stash.get(GUEST, None)
    if guest is None:
        return failure
    witnesses = _witnesses(guest, item.stash.get(INTERFACE, None), failure)
    if not witnesses:
        return None
    verdict, *others = witnesses
    words = {str(verdict)}
    for other in others:
        if str(other) not in words:
            verdict.add_note(f"also: {other}")
        words.add(str(other))
    return verdict


def _witnesses(
    guest: Guest, interface: Interface | None, failure: BaseException | None
) -> list[BaseException]:
    """All that speaks against a PASS, the most telling first.

    What the kernel said, then a provider that broke (whose failure the scenario would blame on
    the kernel), then what the scenario saw, then what it did not look at; but what was read and
    never issued is evidence even when the scenario did not come to an end.
    """
    log = _log(guest)
    kernel = [error for error in log if isinstance(error, (KernelSplatError, KernelPanicError))]
    rest = [error for error in log if error not in kernel]
    broken = _providers_broke(guest)
    content = _content(guest, interface) if interface is not None and not broken else []
    if isinstance(failure, pytest.skip.Exception):
        return [*kernel, *broken, *content, failure]
    own = [failure] if failure is not None else []
    if classify(failure).status is Status.FAIL:
        return [*kernel, *broken, *own, *content, *rest]
    return [*kernel, *broken, *content, *own, *rest]


def _log(guest: Guest) -> list[TsmHarnessError]:
    try:
        guest.log.verify()
    except KernelSplatError as error:
        held = max((loop.longest_answer_s for loop in guest.providers), default=0.0)
        if error.kinds == {SplatKind.HUNG_TASK.value} and held >= _HUNG_TASK_SECONDS:
            return [HarnessError(f"the host held a request for {held:.1f} s; so {error}")]
        return [error]
    except KernelFault as error:
        return [error]
    except TsmHarnessError as error:
        return [_last_words(guest) or error]
    return []


def _providers_broke(guest: Guest) -> list[TsmHarnessError]:
    errors = [loop.error for loop in guest.providers if loop.error is not None]
    return [HarnessError(f"the simulated provider broke: {error!r}") for error in errors[:1]]


def _content(guest: Guest, interface: Interface) -> list[TsmHarnessError]:
    guest.settle()
    made = [one for loop in guest.providers for one in loop.issued]
    reports = [_as_issued(serial, one) for serial, one in enumerate(made)]
    history = interface.history
    violations = check_content(reports, history.reads, history.writes)
    forgotten = sum(loop.issued_dropped for loop in guest.providers)
    if violations and forgotten:
        return [
            HarnessError(f"{forgotten} reports were forgotten to bound memory: {violations[0]}")
        ]
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


def _last_words(guest: Guest) -> KernelPanicError | None:
    """What the kernel of a guest that is mute said on its console: the only witness left."""
    guest.machine.wait_for_exit(_EXIT_SECONDS)
    reports = find_splats(parse_console(guest.machine.console_bytes()))
    last = [one for one in reports if one.kind in _LAST_WORDS]
    if not last:
        return None
    titles = "; ".join(one.title for one in last[:3])
    return KernelPanicError(f"the guest's kernel ended after it had been ready: {titles}")


def classify(error: BaseException | None, *, setup: bool = False) -> Judgement:
    """What an exception that ended a scenario means; None is a scenario that ended well.

    In its ``setup`` a scenario demands nothing yet: what failed there is no verdict, unless the
    kernel itself was seen to be at fault.
    """
    status, whose = Status.ERROR, ""
    match error:
        case None:
            return Judgement(Status.PASS)
        case pytest.skip.Exception():
            status = Status.SKIP
        case KernelFault():
            status = Status.FAIL
        case InterfaceCallError() | AssertionError() | pytest.fail.Exception() if not (
            setup or _is_ours(error)
        ):
            status = Status.FAIL
        case ScenarioError() | GuestCallError():
            whose = "scenario: "
        case HarnessError() | ProviderError() | ActorDiedError():
            whose = "harness: "
        case _:
            whose = f"scenario or harness broke: {type(error).__name__}: "
    return Judgement(status, whose + _words(error))


def _is_ours(error: BaseException) -> bool:
    """Whether an assertion is one of the harness's own, not one of the scenario."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = bool(frames) and frames[-1].filename.startswith(_OURS)
    return inside and isinstance(error, AssertionError)


def _words(error: BaseException) -> str:
    hint = getattr(error, "hint", "")
    notes = getattr(error, "__notes__", [])
    return "\n".join([str(error), *notes, *([f"hint: {hint}"] if hint else [])])
