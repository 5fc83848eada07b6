# SPDX-License-Identifier: MIT
"""Kernels: from the spec a user writes to an image to boot and a build tree for modules.

``spec`` parses the spec and ``resolve`` makes a :class:`~harness.kernels.model.Kernel` of it:
``debian`` fetches a packaged kernel, ``kbuild`` builds a source tree, ``bzimage`` checks an
existing image. ``module_build`` builds external modules for a kernel, ``module_files`` reads its
own modules.
"""
