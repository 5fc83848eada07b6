# SPDX-License-Identifier: MIT
"""Attributes: the names that a report accepts, errors for others, the record of a failed write."""

from __future__ import annotations

import errno
from typing import cast

import pytest

from harness.errors import InterfaceCallError, MissingAttributeError
from harness.guest.actor import Actor
from harness.interface.attribute import Attribute
from harness.interface.history import History
from harness.interface.names import ATTRIBUTE_NAMES, AttributeName
from harness.interface.report import Report
from providers_sim.provider import Attr, BinAttr
from tsmw.ops import OpResult


def _report(*names: AttributeName) -> Report:
    history = History()
    files = {name: Attribute(f"/entry/{name}", name, "entry", history) for name in names}
    return Report(cast(Actor, None), "entry", files)


def test_every_attribute_is_a_property() -> None:
    report = _report(*ATTRIBUTE_NAMES)
    assert [getattr(report, name).name for name in ATTRIBUTE_NAMES] == list(ATTRIBUTE_NAMES)


def test_names_are_those_of_configfs_and_the_attribute_format_of_the_class() -> None:
    configfs = {member.name.lower() for kind in (Attr, BinAttr) for member in kind}
    assert set(ATTRIBUTE_NAMES) == configfs | {"format"}


def test_missing_attribute_raises_missing_attribute_error() -> None:
    report = _report("inblob", "outblob")
    assert report.has("outblob") and not report.has("auxblob")
    assert report.outblob.path == "/entry/outblob"
    for use in (
        lambda: report.auxblob,
        lambda: report.attribute("auxblob"),
        lambda: report.read("auxblob"),
        lambda: report.write("privlevel", 0),
        report.read_generation,
    ):
        with pytest.raises(MissingAttributeError, match="entry has no attribute"):
            use()


def test_misspelled_name_raises_attribute_error() -> None:
    report = _report(*ATTRIBUTE_NAMES)
    with pytest.raises(AttributeError, match="outblop"):
        report.outblop  # type: ignore[attr-defined]  # noqa: B018
    for use in (
        lambda: report.attribute("outblop"),  # type: ignore[arg-type]
        lambda: report.has("outblop"),  # type: ignore[arg-type]
        lambda: report.read("outblop"),  # type: ignore[arg-type]
        lambda: report.write("privlevle", 0),  # type: ignore[arg-type]
    ):
        with pytest.raises(AttributeError, match="defines no attribute"):
            use()


@pytest.mark.parametrize(
    ("errors", "uncertain"),
    [
        ((0, errno.EIO, 0), True),  # the provider's error: the nonce may be stored
        ((0, errno.ETIMEDOUT), True),
        ((0, 0, errno.EIO), True),
        ((0, errno.EINVAL, 0), False),
        ((0, errno.EBUSY), False),
        ((errno.EIO,), False),  # open(2) stores nothing
    ],
)
def test_failed_write_is_uncertain_unless_it_was_refused(
    errors: tuple[int, ...], uncertain: bool
) -> None:
    inblob = _report("inblob").inblob
    number = inblob.begin_write(b"nonce")
    results = [OpResult(-1 if err else 5, err, b"", 10, 20) for err in errors]
    with pytest.raises(InterfaceCallError):
        inblob.end_write(number, results)
    [write] = inblob.history.writes
    assert (write.ok, write.uncertain) == (False, uncertain)


def test_write_that_succeeds_is_certain() -> None:
    inblob = _report("inblob").inblob
    number = inblob.begin_write(b"nonce")
    results = [OpResult(5, 0, b"", 10, 20)] * 3
    assert inblob.end_write(number, results) == 5
    [write] = inblob.history.writes
    assert (write.ok, write.uncertain) == (True, False)
