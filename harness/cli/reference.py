# SPDX-License-Identifier: MIT
"""``reference``: prints the reference document, which is derived from the code."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterable, Iterator
from importlib.resources import files
from itertools import pairwise
from typing import Any, get_args

import click
import pytest

from harness.claims.catalogue import catalogue
from harness.detectors import SANITIZERS, Sanitizer
from harness.implementations.defects import OwnKind, defects_of
from harness.kernels.spec import kernel_names
from harness.plugin import fixtures
from harness.plugin.options import pytest_addoption
from harness.verdict import Status
from providers_sim import available, provider_type

__all__ = ["reference"]


@click.command()
@click.pass_context
def reference(ctx: click.Context) -> int:
    """Print the reference document in Markdown."""
    assert ctx.parent is not None
    assert isinstance(ctx.parent.command, click.Group)
    parts = (
        ["<!-- SPDX-License-Identifier: MIT -->", "# Reference", ""],
        ["This is the output of `tsm-harness reference`, which derives it from the code.", ""],
        _commands(ctx.parent.command),
        _claims(),
        _defects(),
        _kernels(),
        _run_report(),
        _pytest_options(),
        _fixtures(),
        _faults(),
    )
    click.echo("\n".join(line for part in parts for line in part).rstrip())
    return 0


def _commands(app: click.Group) -> Iterator[str]:
    yield from ("## Commands", "")
    yield from _group(app, click.Context(app, info_name="tsm-harness"))


def _group(group: click.Group, parent: click.Context) -> Iterator[str]:
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command is not None
        ctx = click.Context(command, info_name=name, parent=parent)
        arguments = [each for each in command.params if isinstance(each, click.Argument)]
        names = [each.metavar or str(each.name).upper() for each in arguments]
        yield from (f"### `{' '.join([ctx.command_path, *names])}`", "")
        yield from (*inspect.cleandoc(command.help or "").split("\n"), "")
        rows = [_option(each) for each in command.params if isinstance(each, click.Option)]
        yield from _table(("option", "meaning"), rows)
        if isinstance(command, click.Group):
            yield from _group(command, ctx)


def _option(option: click.Option) -> tuple[str, str]:
    """Format an option as (flags and metavar, help); click's own format varies by version."""
    flags = ", ".join([*option.opts, *option.secondary_opts])
    metavar = option.metavar or ""
    if isinstance(option.type, click.Choice):
        metavar = "|".join(map(str, option.type.choices))
    elif not option.is_flag and not metavar:
        metavar = _METAVARS.get(option.type.name, "TEXT")
    return f"`{flags} {metavar}`".replace(" `", "`"), " ".join(_help(option))


def _help(option: click.Option) -> Iterator[str]:
    yield option.help or ""
    if option.show_default and option.default not in (None, ""):
        default = option.default
        values = default if isinstance(default, tuple) else (default,)
        yield f"[default: {', '.join(map(str, values))}]"
    if option.show_envvar:
        yield f"[environment: {option.envvar}]"


_METAVARS = {
    "integer": "N",
    "integer range": "N",
    "float": "NUMBER",
    "float range": "NUMBER",
    "path": "PATH",
    "file": "PATH",
    "directory": "PATH",
    "hex": "HEX",
}


def _claims() -> Iterator[str]:
    yield from ("## Claims", "")
    rows = []
    for claim in catalogue().claims.values():
        note = f" *No scenario decides it: {claim.undecided}.*" if claim.undecided else ""
        source = f"[{claim.raised_by}]({claim.link})" if claim.link else claim.raised_by
        rows.append((claim.id, source, claim.demand + note))
    yield from _table(("claim", "raised by", "demand"), rows)


def _defects() -> Iterator[str]:
    yield from ("## Defects", "")
    for kind in get_args(OwnKind):
        yield from (f"`--tsm defect:NAME` is `{kind}-fixed` with one of these defects.", "")
        rows = [
            (f"`{defect.name}`", defect.effect, ", ".join(defect.claims))
            for defect in defects_of(kind).values()
        ]
        yield from _table(("defect", "effect", "breaks"), rows)


def _kernels() -> Iterator[str]:
    yield from ("## Packaged kernels", "")
    yield from (f"- `{name}`" for name in kernel_names())
    yield from (
        "",
        "`tree:PATH` is a source tree; another value is the path of a kernel image.",
        "",
    )
    yield from ("## Sanitizers", "")
    yield from ("`tree:PATH+NAME` and `source:VERSION+NAME` build a kernel with a sanitizer.", "")
    rows = [
        (f"`+{sanitizer.name}`", sanitizer.finds, ", ".join(_symbols(sanitizer)),
         ", ".join(f"`+{name}`" for name in sanitizer.excludes))
        for sanitizer in SANITIZERS.values()
    ]  # fmt: skip
    yield from _table(("sanitizer", "finds", "Kconfig", "not together with"), rows)
    yield from ("## Verdicts", "")
    yield from _table(("verdict", "meaning"), _documented_members(Status))


def _symbols(sanitizer: Sanitizer) -> Iterator[str]:
    for setting in sanitizer.settings:
        yield f"`{setting.symbol}={setting.value}` ({setting.reason})"


def _documented_members(kind: type) -> Iterator[tuple[str, str]]:
    """Yield the names of an enumeration's members, each with the text below it."""
    [definition] = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    for member, text in pairwise(definition.body):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr):
            yield ast.unparse(member.targets[0]), str(ast.literal_eval(text.value))


def _run_report() -> Iterator[str]:
    yield from ("## Run report as JSON", "", "`--json FILE` writes these keys.", "")
    schema = json.loads(files("harness.report").joinpath("run.schema.json").read_bytes())
    yield from _table(("key", "meaning"), _keys(schema, schema["$defs"], ""))


def _keys(schema: dict[str, Any], known: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Yield the keys of an object and of what it contains, each with its description."""
    for name, member in schema.get("properties", {}).items():
        found = _resolved(member, known)
        yield f"`{path}{name}`", member.get("description", found.get("description", ""))
        yield from _keys(found, known, f"{path}{name}.")
        yield from _keys(_resolved(found.get("items", {}), known), known, f"{path}{name}[].")
        others = found.get("additionalProperties", False)
        if isinstance(others, dict):
            yield from _keys(_resolved(others, known), known, f"{path}{name}.*.")


def _resolved(member: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference to a definition, also where the member may be null."""
    for choice in member.get("oneOf", [member]):
        if "$ref" in choice:
            found: dict[str, Any] = known[choice["$ref"].rpartition("/")[2]]
            return found
    return member


def _pytest_options() -> Iterator[str]:
    yield from ("## Options of pytest", "")
    parser = pytest.Parser(_ispytest=True)
    pytest_addoption(parser)
    options = parser.getgroup("tsm-harness").options
    rows = [(f"`{option.names()[0]}`", str(option.attrs()["help"])) for option in options]
    yield from _table(("option", "meaning"), rows)


def _fixtures() -> Iterator[str]:
    yield from ("## Fixtures", "")
    functions = [
        node
        for node in ast.parse(inspect.getsource(fixtures)).body
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(each).startswith("pytest.fixture") for each in node.decorator_list)
    ]
    rows = [(f"`{node.name}`", ast.get_docstring(node) or "") for node in functions]
    yield from _table(("fixture", "meaning"), rows)


def _faults() -> Iterator[str]:
    yield from (
        "## Faults",
        "",
        "Failures that a provider simulates on request (`--fault NAME`).",
        "",
    )
    for ident in available():
        yield from (f"### {ident}", "")
        rows = []
        for fault in provider_type(ident).faults.values():
            rows.append((f"`{fault.spec}`", fault.summary, fault.outcome))
        yield from _table(("fault", "what happens", "what the reader gets"), rows)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    lines = [" | ".join(" ".join(text.replace("|", "\\|").split()) for text in row) for row in rows]
    if lines:
        yield f"| {' | '.join(heads)} |"
        yield f"|{'---|' * len(heads)}"
        yield from (f"| {line} |" for line in lines)
        yield ""
