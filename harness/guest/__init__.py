# SPDX-License-Identifier: MIT
"""A running guest as the host uses it: its agent, its actors, its kernel log, its provider.

Reading order, each module using those before it: :mod:`agent` (frames on the agent port),
:mod:`agent_session` (one session with the agent), :mod:`process` (the process in an actor slot),
:mod:`call` (one batch of system calls), :mod:`actor` (what a scenario uses), :mod:`guest` (all of
it, and the machine). :mod:`stacks` and :mod:`raw_provider` are tools made of an actor.
"""
