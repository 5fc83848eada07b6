# SPDX-License-Identifier: MIT
"""The TSMW wire protocol: framing and the messages of the agent and provider ports.

The Python twin of ``guest-images/include/tsmw.h``, which is the contract.
"""
