# SPDX-License-Identifier: MIT
"""The life of a virtual machine: from an image to a template, from a template to clones.

Reading order: :mod:`clone` (save a running guest; restore any saved one), :mod:`template` (the
files of a frozen guest), :mod:`boot` and :mod:`clock` (a cold boot, and whether its clock is
right), :mod:`factory` (boot, freeze, clone), :mod:`pool` (clones made ahead), :mod:`accelerator`
(KVM or TCG), :mod:`soundness` (does the emulator corrupt guests).
"""
