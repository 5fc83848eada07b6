# SPDX-License-Identifier: MIT
"""Makes the verdict on one item from its scenario, its kernel log and its evidence.

A fault of the kernel under test is a FAIL, however the scenario ended. A failure of the harness, of
its host or of the scenario's author is an ERROR. A PASS takes a scenario that ended well, a kernel
log without unexpected splats, and reports that hold nothing but what the provider issued.
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import harness
import providers_sim
from harness.detectors import SplatKind
from harness.errors import (
    ActorDiedError,
    ClaimViolatedError,
    DeadlineError,
    GuestCallError,
    HarnessError,
    InterfaceCallError,
    KernelFault,
    KernelPanicError,
    KernelSplatError,
    MissingAttributeError,
    NoInterfaceError,
    ScenarioError,
    TsmHarnessError,
)
from harness.guest.call import Call
from harness.guest.guest import Guest
from harness.guest.panic import find_panic
from harness.interface.find import Interface, is_of_interface
from harness.oracle.content import Issued, Options, check_content
from harness.plugin.prediction import skip_without, without_interface
from harness.plugin.stash import GUEST, INTERFACE
from harness.verdict import Cause, Status
from providers_sim.errors import ProviderError
from providers_sim.transcript import IssuedReport

__all__ = ["Verdict", "deciding_error", "verdict_of"]

_FORMATS = ("default", "extended")
_MAX_VIOLATIONS = 3
_BLOCKED_SECONDS = 2.0
# The agent's init (init.c) makes the kernel report tasks that are blocked for longer than this.
_HUNG_TASK_SECONDS = 5.0
_OWN_FILES = tuple(str(Path(package.__path__[0])) for package in (harness, providers_sim))


@dataclass(frozen=True)
class Verdict:
    """A status, the reason in a few lines, and the cause in the form for comparing results.

    ``place`` is the FILE:LINE of the code under test that the reason names, or empty.
    """

    status: Status
    detail: str = ""
    cause: Cause | None = None
    place: str = ""


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run the scenario, then check log and content within its call phase."""
    failure: BaseException | None = None
    outcome: object = None
    try:
        outcome = yield
    except MissingAttributeError as error:
        failure = skip_without(pyfuncitem, error)
    except NoInterfaceError as error:
        interface = pyfuncitem.stash.get(INTERFACE, None)
        used = interface is not None and interface.used
        failure = error if used else without_interface(pyfuncitem, error)
    except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:
        failure = error
    decisive = deciding_error(pyfuncitem, failure)
    if decisive is not None:
        raise decisive
    return outcome


def deciding_error(item: pytest.Item, failure: BaseException | None) -> BaseException | None:
    """Return the error that decides about a scenario; its notes have all other errors.

    ``failure`` is what the scenario raised. The result is None if there is no error at all.
    Without a guest it is ``failure``.
    """
    guest = item.stash.get(GUEST, None)
    if guest is None:
        return failure
    errors = _errors(guest, item.stash.get(INTERFACE, None), failure)
    if not errors:
        return None
    decisive, *others = errors
    messages = {str(decisive)}
    for other in others:
        if str(other) not in messages:
            decisive.add_note(f"also: {other}")
        messages.add(str(other))
    return decisive


def _errors(
    guest: Guest, interface: Interface | None, failure: BaseException | None
) -> list[BaseException]:
    """Return every error, the one that decides first.

    A splat comes first. Then comes a broken provider, because the scenario would blame the kernel
    for its failure. Then comes the scenario's own failure, then what the scenario did not check.
    But bytes that were read and never issued are evidence even if the scenario did not finish.
    """
    log = _log_errors(guest)
    splats = [error for error in log if isinstance(error, (KernelSplatError, KernelPanicError))]
    rest = [error for error in log if error not in splats]
    broken = _provider_errors(guest)
    if isinstance(failure, DeadlineError):
        failure = _blocked_call(guest) or failure
    content = _content_errors(guest, interface) if interface is not None and not broken else []
    own = [failure] if failure is not None else []
    if isinstance(failure, pytest.skip.Exception):
        return [*splats, *broken, *content, *own]
    if verdict_of(failure).status is Status.FAIL:
        return [*splats, *broken, *own, *content, *rest]
    return [*splats, *broken, *content, *own, *rest]


def _log_errors(guest: Guest) -> list[TsmHarnessError]:
    try:
        guest.log.verify()
    except KernelSplatError as error:
        held = max((loop.longest_answer_s for loop in guest.providers), default=0.0)
        hung_task_only = {signature[0] for signature in error.signatures} == {
            SplatKind.HUNG_TASK.value
        }
        if hung_task_only and held >= _HUNG_TASK_SECONDS:
            return [HarnessError(f"the host held a request for {held:.1f} s; so {error}")]
        return [error]
    except KernelFault as error:
        return [error]
    except TsmHarnessError as error:
        return [find_panic(guest.machine) or error]
    return []


def _blocked_call(guest: Guest) -> ClaimViolatedError | None:
    """Return a call on the interface that sleeps in the kernel, and does not wait for the host.

    The gates of a scenario are open once it has raised.
    """
    for call in guest.open_calls:
        paths = (op.data.decode("ascii", "replace") for op in call.ops)
        if any(map(is_of_interface, (call.what, *paths))) and _is_stuck(guest, call):
            place = call.actor.describe_state()
            return ClaimViolatedError(f"{call!r} does not return, {place}", subject=call.what)
    return None


def _is_stuck(guest: Guest, call: Call[Any]) -> bool:
    try:
        call.results(seconds=_BLOCKED_SECONDS)
    except DeadlineError:
        with suppress(TsmHarnessError):
            return call.blocked() and not any(loop.in_flight for loop in guest.providers)
    except (TsmHarnessError, OSError):
        pass
    return False


def _provider_errors(guest: Guest) -> list[TsmHarnessError]:
    errors = [loop.error for loop in guest.providers if loop.error is not None]
    return [HarnessError(f"the simulated provider broke: {error!r}") for error in errors[:1]]


def _content_errors(guest: Guest, interface: Interface) -> list[TsmHarnessError]:
    guest.settle()
    made = [issued for loop in guest.providers for issued in loop.issued]
    reports = [_as_issued(serial, issued) for serial, issued in enumerate(made)]
    history = interface.history
    violations = check_content(reports, history.reads, history.writes)
    dropped = sum(loop.issued_dropped for loop in guest.providers)
    if violations and dropped:
        return [HarnessError(f"{dropped} reports were dropped to limit memory: {violations[0]}")]
    return [
        ClaimViolatedError(str(each), subject=f"{each.read.blob}: {each.kind.value}")
        for each in violations[:_MAX_VIOLATIONS]
    ]


def _as_issued(serial: int, issued: IssuedReport) -> Issued:
    request, evidence = issued.request, issued.evidence
    known = request.format < len(_FORMATS)
    options = Options(
        inblob=request.inblob,
        privlevel=request.privlevel,
        format=_FORMATS[request.format] if known else None,
    )
    blobs = (evidence.outblob, evidence.auxblob, evidence.manifestblob)
    return Issued(serial, *blobs, options, int(issued.time * 1e9))


def verdict_of(
    error: BaseException | None, *, setup: bool = False, scenario: Path | None = None
) -> Verdict:
    """Return the verdict that an exception means; None is a scenario that ended well.

    In its ``setup`` a scenario demands nothing yet: a failure there is an ERROR, unless the kernel
    itself is at fault. ``scenario`` is the file of the scenario, for the cause.
    """
    status, source = Status.ERROR, ""
    match error:
        case None:
            return Verdict(Status.PASS)
        case pytest.skip.Exception():
            return Verdict(Status.SKIP, _message(error))
        case KernelFault():
            status = Status.FAIL
        case InterfaceCallError() | AssertionError() | pytest.fail.Exception() if not (
            setup or _is_own_assertion(error)
        ):
            status = Status.FAIL
        case GuestCallError() if not setup and is_of_interface(str(error.filename)):
            status = Status.FAIL
        case ScenarioError() | GuestCallError():
            source = "scenario: "
        case HarnessError() | ProviderError() | ActorDiedError():
            source = "harness: "
        case _:
            source = f"scenario or harness broke: {type(error).__name__}: "
    place = getattr(error, "place", "")
    return Verdict(status, source + _message(error), _cause(error, scenario), place)


def _is_own_assertion(error: BaseException) -> bool:
    """Whether an assertion failed in the harness, and not in the scenario."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = bool(frames) and frames[-1].filename.startswith(_OWN_FILES)
    return inside and isinstance(error, AssertionError)


def _message(error: BaseException) -> str:
    hint = getattr(error, "hint", "")
    notes = getattr(error, "__notes__", [])
    return "\n".join([str(error), *notes, *([f"hint: {hint}"] if hint else [])])


def _cause(error: BaseException, scenario: Path | None) -> Cause:
    match error:
        case KernelSplatError() | KernelPanicError() if error.signatures:
            kind, subtype, cache, function = error.signatures[0]
            return Cause(kind, f"{subtype} [{cache}]" if cache else subtype, function)
        case ClaimViolatedError():
            subject = error.subject
        case OSError():
            subject = errno.errorcode.get(error.errno or 0, "")
        case _:
            subject = ""
    function, line = _place(error, scenario)
    return Cause(type(error).__name__, subject, function, line)


def _place(error: BaseException, scenario: Path | None) -> tuple[str, int]:
    """Return the innermost function of the scenario's file, and the line counted from its start."""
    for frame, number in reversed([*traceback.walk_tb(error.__traceback__)]):
        code = frame.f_code
        if code.co_filename == str(scenario):
            return code.co_name, number - code.co_firstlineno
    return "", 0
