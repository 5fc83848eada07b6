# SPDX-License-Identifier: MIT
"""The TSMW wire protocol: frames, and the messages of the agent port and the provider port.

``guest-images/include/tsmw.h`` defines the protocol; tests compare this package with it. The
package imports neither ``harness`` nor ``providers_sim``.
"""
