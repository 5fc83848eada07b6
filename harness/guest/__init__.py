# SPDX-License-Identifier: MIT
"""A guest as the host sees it: its agent, its actors, its kernel log, its provider.

:class:`~harness.guest.guest.Guest` is what a scenario's fixtures are made of;
:class:`~harness.guest.actor.Actor` makes the system calls,
:class:`~harness.guest.call.Call` is one batch of them in flight.
"""
