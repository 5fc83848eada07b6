# SPDX-License-Identifier: MIT
"""The event loop of the monitors."""

from __future__ import annotations

import asyncio
import gc

import pytest

from harness.qemu import qmp


async def _fail() -> None:
    raise EOFError


async def _drop_a_failed_task() -> None:
    task = asyncio.ensure_future(_fail())
    await asyncio.wait([task])


def test_a_failed_task_of_an_ended_monitor_prints_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asyncio.run_coroutine_threadsafe(_drop_a_failed_task(), qmp._loop()).result(20)
    gc.collect()
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), qmp._loop()).result(20)
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]
