# SPDX-License-Identifier: MIT
"""The commands, each from its own module."""

from __future__ import annotations

import typer

from harness.cli import bench, doctor, images, run, shell

__all__ = ["app"]

app = typer.Typer(
    name="tsm-harness",
    help="Does this kernel's TSM report interface do what its reviewers demanded?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.command("reproduce")(run.reproduce)
app.command("exec", context_settings={"ignore_unknown_options": True})(shell.exec_)
app.command("shell")(shell.shell)
app.command("doctor")(doctor.doctor)
app.command("bench")(bench.bench)
app.add_typer(images.app, name="images")
