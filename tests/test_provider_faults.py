# SPDX-License-Identifier: MIT
"""Faults by name, injected through the provider port: durations, effects, state, bad evidence."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from time import monotonic

import pytest

from providers_sim import (
    Evidence,
    Fault,
    FaultQueue,
    Options,
    ProviderError,
    ProviderRefusal,
    ReportRequest,
    create,
)
from providers_sim.fault_queue import COMMON_FAULTS
from providers_sim.fault_table import Answer, FaultTable
from providers_sim.faults import Corruption
from tests.fake_guest import SECONDS, EchoProvider, Rig
from tsmw.constants import FrameType, ReplyFlag, Status

TABLE = FaultTable()


class FaultyProvider(EchoProvider):
    """A provider whose host can be slow, or busy with an abandoned request."""

    faults = TABLE
    options_type = Options

    def reset(self) -> None:
        super().reset()
        self.in_flight = False
        self.abandoned = 0

    def admit(self, request: ReportRequest) -> None:
        if self.in_flight:
            raise ProviderRefusal(Status.BUSY, "a request is in flight")

    def abandon(self) -> None:
        self.in_flight = True
        self.abandoned += 1

    def complete(self) -> None:
        self.in_flight = False


@TABLE.define("slow", "success, later")
def _slow(provider: FaultyProvider, request: ReportRequest, *, seconds: float = 5.0) -> Answer:
    """The host answers after ``seconds``."""
    return Answer(evidence=provider.report(request), after_s=seconds)


@TABLE.define("stuck", "EIO, then EBUSY")
def _stuck(provider: FaultyProvider, request: ReportRequest, *, done: float = 45.0) -> Answer:
    """The driver gives up after 30 s; the host finishes after ``done`` seconds (0: never)."""
    refusal = ProviderRefusal(Status.IO, "the driver gave up")
    return Answer(refusal=refusal, after_s=30.0, done_s=done or math.inf, then=provider.abandon)


@TABLE.define("stale-lengths", "success; the length of auxblob stays")
def _stale_lengths(provider: FaultyProvider, request: ReportRequest) -> Answer:
    """The driver leaves the lengths of absent blobs unchanged."""
    return Answer(evidence=Evidence(provider.report(request).outblob), keep_lengths=True)


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig(FaultyProvider()) as connected:
        connected.guest.open_session()
        yield connected


def _report_until_accepted(rig: Rig, ident: int) -> int:
    """Repeat a request, with rising ids from ``ident``, until it is not busy; return its id."""
    while True:
        rig.guest.send_report(ident)
        status = rig.guest.receive().status
        if status != Status.BUSY:
            assert status == Status.OK
            return ident
        ident += 1


def test_durations_are_scaled_by_hardware_time(rig: Rig) -> None:
    rig.loop.hardware_time = 0.01
    rig.loop.fault("slow", seconds=20)
    start = monotonic()
    rig.guest.send_report(1)
    assert rig.guest.receive_report()[0] == 1
    assert monotonic() - start >= 0.2
    rig.loop.hardware_time = 0.0
    rig.loop.fault("slow", seconds=1e9)
    rig.guest.send_report(2)
    assert rig.guest.receive_report()[0] == 2
    rig.loop.hardware_time = 1.0
    rig.loop.fault("slow", seconds=1e9)  # decades: the answer does not arrive
    rig.guest.send_report(3)
    rig.guest.ping()
    rig.guest.cancel(3)
    rig.loop.wait_cancelled(1, timeout=SECONDS)
    for wrong in (-1.0, 1001.0, math.nan):
        with pytest.raises(ProviderError):
            rig.loop.hardware_time = wrong


def test_requests_are_busy_until_the_host_completes_the_abandoned_request(rig: Rig) -> None:
    rig.loop.hardware_time = 0.001
    rig.loop.fault("stuck", done=0)  # the host never finishes
    rig.guest.send_report(1)
    assert rig.guest.receive().status == Status.IO
    for ident in (2, 3):
        rig.guest.send_report(ident)
        assert rig.guest.receive().status == Status.BUSY
    assert rig.loop.requests == 3
    rig.loop.complete()
    rig.guest.send_report(4)
    assert rig.guest.receive_report()[0] == 4


def test_host_finishes_an_abandoned_request_after_its_duration(rig: Rig) -> None:
    rig.loop.hardware_time = 0.001
    rig.loop.fault("stuck", done=60.0)
    rig.guest.send_report(1)
    assert rig.guest.receive().status == Status.IO
    assert _report_until_accepted(rig, 2) > 2  # the host was busy at least once


def test_cancelled_request_stays_in_flight_until_the_gate_opens(rig: Rig) -> None:
    with rig.loop.hold() as gate:
        rig.guest.send_report(1)
        gate.wait_for_request(timeout=SECONDS)
        rig.guest.cancel(1)
        rig.loop.wait_cancelled(1, timeout=SECONDS)
        rig.guest.send_report(2)  # the driver refuses it, so it does not reach the gate
        assert rig.guest.receive().status == Status.BUSY
        assert (gate.arrived, gate.held) == (1, [])
        # No request is held, and the host has not finished the cancelled request.
        assert gate.release(1) == 0
        rig.guest.send_report(3)
        assert rig.guest.receive().status == Status.BUSY
    rig.guest.ping()
    rig.guest.send_report(4)
    assert rig.guest.receive_report()[0] == 4


def test_held_request_with_a_late_answer_is_answered_once(rig: Rig) -> None:
    rig.loop.fault("late")
    with rig.loop.hold() as gate:
        rig.guest.send_report(1)
        gate.wait_for_request(timeout=SECONDS)
        rig.guest.cancel(1)
        assert rig.guest.receive_report()[0] == 1
    rig.guest.ping()


def test_cancelled_slow_request_ends_after_its_duration(rig: Rig) -> None:
    rig.loop.hardware_time = 0.01
    rig.loop.fault("slow", seconds=10)
    rig.guest.send_report(1)
    rig.guest.cancel(1)
    rig.guest.send_report(2)
    assert rig.guest.receive().status == Status.BUSY
    rig.loop.wait_cancelled(1, timeout=SECONDS)
    _report_until_accepted(rig, 3)


def test_request_that_the_driver_refuses_uses_no_fault(rig: Rig) -> None:
    rig.loop.fault("stuck", done=0).fail(5)
    rig.loop.hardware_time = 0.0
    rig.guest.send_report(1)
    assert rig.guest.receive().status == Status.IO
    rig.guest.send_report(2)
    assert rig.guest.receive().status == Status.BUSY
    assert len(rig.loop.faults) == 1


def test_provider_fault_can_keep_the_lengths(rig: Rig) -> None:
    rig.loop.fault("stale-lengths")
    rig.guest.send_report(1)
    assert rig.guest.receive_report()[2] == ReplyFlag.KEEP_LENGTHS
    rig.guest.send_report(2)
    assert rig.guest.receive_report()[2] == 0


def test_padded_flipped_and_wrong_inblob_change_the_outblob(rig: Rig) -> None:
    rig.loop.fault("padded", n=70).flipped(9).wrong_inblob()
    rig.guest.send_report(1)
    assert rig.guest.receive_report()[1].outblob == b"nonce#1" + bytes(70)
    rig.guest.send_report(2)
    assert rig.guest.receive_report()[1].outblob == b"nmnce#2"
    rig.guest.send_report(3)
    assert rig.guest.receive_report()[1].outblob == bytes(b ^ 0xFF for b in b"nonce") + b"#3"
    assert rig.loop.issued[-1].request.inblob == b"nonce"


def test_answers_are_swapped_between_two_requests(rig: Rig) -> None:
    rig.loop.fault("swapped")
    rig.guest.send_report(1, b"one")
    rig.guest.ping()
    rig.guest.send_report(2, b"two")
    replies = dict((rig.guest.receive_report()[:2]) for _ in range(2))
    assert {ident: evidence.outblob[:3] for ident, evidence in replies.items()} == {
        1: b"two",
        2: b"one",
    }
    rig.guest.send_report(3, b"three")
    assert rig.guest.receive_report()[1].outblob.startswith(b"three")


def test_no_answers_are_swapped_with_a_cancelled_request(rig: Rig) -> None:
    rig.loop.fault("swapped")
    rig.guest.send_report(1, b"one")
    rig.guest.cancel(1)
    rig.loop.wait_cancelled(1, timeout=SECONDS)
    rig.loop.complete()
    rig.guest.send_report(2, b"two")
    assert rig.guest.receive_report()[1].outblob.startswith(b"two")


def test_vanish_sends_going_away_instead_of_an_answer(rig: Rig) -> None:
    rig.loop.fault("vanish")
    rig.guest.send_report(1)
    assert rig.guest.receive().type == FrameType.GOING_AWAY
    rig.guest.ping()
    assert rig.loop.in_flight == 0


def test_names_and_parameters_are_checked_when_the_fault_is_queued(rig: Rig) -> None:
    for name, params, message in (
        ("no-such", {}, "there are: slow, stuck, stale-lengths, harmless, corrupt"),
        ("slow", {"seconds": "long"}, "is of type float"),
        ("slow", {"minutes": 1}, "has no parameter 'minutes'"),
        ("padded", {"n": -1}, "padded is within"),
        ("flipped", {"bits": 1}, "flipped"),
    ):
        with pytest.raises(ProviderError, match=message):
            rig.loop.fault(name, **params)
    assert len(rig.loop.faults) == 0
    rig.loop.fault("slow", seconds=1, times=3)
    assert len(rig.loop.faults) == 3


def test_every_fault_is_restored_from_json() -> None:
    queue = FaultQueue(TABLE)
    defaults: dict[str, dict[str, object]] = {
        "delay": {"seconds": 0.5},
        "fail": {"errno": 5},
        "inject": {"value": 1},
        "oversize": {"total": 9},
        "padded": {"n": 1},
        "refuse": {"status": Status.BUSY},
        "truncated": {"n": 1},
    }
    for name in (*COMMON_FAULTS, *TABLE):
        queue.add_named(name, **defaults.get(name, {}))
    state = json.loads(json.dumps(queue.get_state()))
    again = FaultQueue(TABLE)
    again.set_state(state)
    assert again.get_state() == state
    assert [again.take() for _ in range(len(again))] == [queue.take() for _ in range(len(queue))]
    bad: list[object] = [
        {"colour": 1},
        "slow",
        {"provider_fault": "no"},
        {"provider_fault": "slow", "params": {"x": 1}},
        {"status": 99},
        {"inject": 10**6},
        {"corrupt": "all"},
        {"params": 3},
    ]
    for fault in bad:
        with pytest.raises(ProviderError):
            again.set_state([fault])


def test_faults_are_parsed_from_specs() -> None:
    queue = FaultQueue(TABLE)
    queue.add_spec("slow:seconds=2.5,times=2").add_spec("fail:errno=5").add_spec("vanish")
    queue.add_spec("refuse:status=throttled,retry_ms=10").add_spec("corrupt:what=header")
    assert [queue.take() for _ in range(6)] == [
        *[Fault(provider_fault="slow", params=(("seconds", 2.5),))] * 2,
        Fault(inject=-5),
        Fault(vanish=True),
        Fault(status=Status.THROTTLED, retry_ms=10),
        Fault(corrupt=Corruption.HEADER),
    ]
    for wrong in (
        "",
        "slow:seconds=x",
        "slow:x=1",
        "fail",
        "fail:errno=x",
        "refuse:status=bad",
        "corrupt:what=all",
        "named:name=x",
        "slow:times=0",
    ):
        with pytest.raises(ProviderError):
            queue.add_spec(wrong)


def test_state_is_restored_in_another_loop(rig: Rig) -> None:
    rig.loop.hardware_time = 0.0
    rig.loop.fault("stuck", done=0)
    rig.guest.send_report(1)
    assert rig.guest.receive().status == Status.IO
    rig.loop.complete()
    rig.guest.send_report(2)
    assert rig.guest.receive_report()[1].outblob == b"nonce#1"
    rig.loop.fault("fail", errno=5)
    state = json.loads(json.dumps(rig.loop.get_state()))
    with Rig(FaultyProvider()) as other:
        other.guest.open_session()
        other.loop.set_state(state)
        again = other.loop.get_state()
        assert {**again, "session": 0} == {**state, "session": 0}
        other.guest.send_report(1)
        assert other.guest.receive().status == Status.INJECT
        other.guest.send_report(2)
        assert other.guest.receive_report()[1].outblob == b"nonce#2"
        with pytest.raises(ProviderError):
            other.loop.set_state({"faults": []})
    with rig.loop.hold() as gate:
        rig.loop.faults.clear()
        rig.guest.send_report(3)
        gate.wait_for_request(timeout=SECONDS)
        with pytest.raises(ProviderError, match="in flight"):
            rig.loop.get_state()


def test_options_and_registers_change_between_reports(rig: Rig) -> None:
    rig.loop.reconfigure(root=3)
    assert rig.loop.provider.options.root == 3
    with pytest.raises(ProviderError):
        rig.loop.reconfigure(colour="red")
    with pytest.raises(ProviderError):
        rig.loop.reconfigure(root="x")
    assert rig.loop.registers() == ()
    with pytest.raises(ProviderError, match="no runtime measurement register"):
        rig.loop.extend(0, bytes(48))
    rig.loop.close()
    with pytest.raises(ProviderError, match="can no longer happen"):
        rig.loop.registers()


def test_exception_in_a_fault_is_recorded(rig: Rig) -> None:
    rig.loop.faults.add(Fault(provider_fault="slow", params=(("seconds", "not a number"),)))
    rig.guest.send_report(1)
    assert rig.guest.receive().status == Status.INTERNAL
    with pytest.raises(ProviderError, match="broke"):
        rig.loop.raise_if_failed()


@TABLE.define("harmless", "success")
def _harmless(provider: FaultyProvider, request: ReportRequest) -> Answer:
    """The host does what it does without a fault."""
    return Answer(evidence=provider.report(request))


def _ineffective(rig: Rig, spec: str) -> list[str]:
    """Inject a fault into a request; return what is said about faults without effect."""
    rig.loop.faults.add_spec(spec)
    rig.guest.send_report(1)
    rig.guest.receive()
    rig.guest.ping()
    sentences = list(rig.loop.ineffective_faults())
    summaries = [entry.summary for entry in rig.loop.transcript.items()]
    assert all(sentence in summaries for sentence in sentences)
    return sentences


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("harmless", "gets the same evidence anyway"),
        ("flipped:bit=80000000", "has nothing that it would change"),
        ("oversize:total=0", ""),
        ("flipped:bit=1", ""),
        ("fail:errno=5", ""),
        ("slow:seconds=0.01", ""),
        ("stuck", ""),
    ],
)
def test_fault_that_changes_nothing_is_reported(rig: Rig, spec: str, reason: str) -> None:
    rig.loop.hardware_time = 0.001
    found = _ineffective(rig, spec)
    assert len(found) == bool(reason)
    for sentence in found:
        assert sentence.startswith(f"the fault {spec.partition(':')[0]}")
        assert reason in sentence


@pytest.mark.parametrize(
    ("options", "spec", "reason"),
    [
        ("sev-snp", "snp-vmm-error", "is refused anyway"),
        ("sev-snp", "truncated:n=3", "is refused anyway"),
        ("sev-snp", "fail:errno=5", ""),
        ("sev-snp", "snp-sequence-exhausted", ""),
    ],
)
def test_fault_of_a_refused_request_is_reported(options: str, spec: str, reason: str) -> None:
    with Rig(create(options)) as rig:
        rig.guest.open_session()
        found = _ineffective(rig, spec)  # its nonce has 5 bytes, and the driver takes 64
        assert [reason in sentence for sentence in found] == [True] * bool(reason)


@pytest.mark.parametrize(("certificates", "ineffective"), [("none", 1), ("chain", 0)])
def test_certificate_fault_without_certificates_is_reported(
    certificates: str, ineffective: int
) -> None:
    provider = create(f"sev-snp:certificates={certificates}")
    before = provider.live_state()
    answer = provider.answer(ReportRequest(id=1, inblob=bytes(64)), "snp-no-certs")
    assert answer.no_effect == bool(ineffective)
    again = create(f"sev-snp:certificates={certificates}")
    assert again.live_state() == before
    again.report(ReportRequest(id=1, inblob=bytes(64)))
    assert again.live_state() == provider.live_state()


def test_fault_that_no_request_used_is_reported(rig: Rig) -> None:
    rig.loop.faults.add_spec("slow:seconds=3")
    rig.loop.faults.empty()
    assert rig.loop.ineffective_faults() == (
        "the fault slow was not used: no request came",
        "the fault empty=True was not used: no request came",
    )
