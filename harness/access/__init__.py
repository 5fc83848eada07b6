# SPDX-License-Identifier: MIT
"""How a person or a program gets into a guest: ssh, the serial console, terminals."""
