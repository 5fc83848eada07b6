# SPDX-License-Identifier: MIT
"""Parses what gcc dumps of a function when it has made its control flow graph.

The dump (``-fdump-tree-cfg-lineno-raw-uid``) has every macro expanded, every cleanup in its place,
every variable under a name of its own, and nothing optimised away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

__all__ = [
    "DUMP_FLAGS",
    "Expression",
    "Function",
    "Loop",
    "Statement",
    "parse_dump",
    "parse_operand",
]

DUMP_FLAGS = ("-g0", "-D__NO_FORTIFY", "-fdump-tree-cfg-lineno-raw-uid")
"""Compiler flags that make the dump. Fortified string functions would only add paths."""

_LOCATION = re.compile(r"\[([^\[\]]*?):(\d+)(?::\d+)?(?: discrim \d+)?\] ")
_FUNCTION = re.compile(r"^;; Function (\S+) \(")
_DECLARATION = re.compile(r"^  (?!<)(static )?(.+?)(\w*D\.\d+|iftmp\.\w+)(?:\[.*\])*(?: = .*)?;$")
_BLOCK = re.compile(r"^  <bb (\d+)>")
_SUCCESSORS = re.compile(r"^;; (\d+) succs \{([\d ]*)\}")
_LOOP = re.compile(r"^;;  (header|nodes:) (\d+)(?:, latch (\d+))?([\d ]*)")
_STATEMENT = re.compile(r"^gimple_(\w+) <(.*)>$", re.DOTALL)
_GOTO = re.compile(r"^goto <bb (\d+)>")
_ASM = re.compile(r'"([^"]*)" ')
_UID = re.compile(r"(?<=\w)D\.\d+$")
_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"|->|(?:[A-Za-z_$][\w$]*)?D\.\d+|[A-Za-z_$][\w$]*(?:\.\d\w*)?'
    r"|\d+B?|\S"
)
_SPLIT = re.compile(r'"(?:[^"\\]|\\.)*"|->|[\[({<>\])}]|, ')

Expression = tuple[Any, ...]
"""An operand: its kind, then its parts. Kinds: int, name, field, index, deref, addr, text."""


@dataclass(frozen=True)
class Statement:
    """A statement: ``kind`` is gcc's name, ``line`` the place in the source as ``FILE:LINE``."""

    kind: str
    arguments: tuple[str, ...]
    line: str


@dataclass(frozen=True)
class Loop:
    """A natural loop: ``latch`` is the block from which it begins again."""

    header: int
    latch: int
    nodes: frozenset[int]


@dataclass
class Function:
    """A function: ``types`` are those of its parameters and local variables.

    ``unit`` is the dump that it is from: another may have a function of the same name.
    """

    name: str
    unit: str = ""
    returns: str = ""
    file: str = ""
    parameters: list[str] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)
    blocks: dict[int, list[Statement]] = field(default_factory=dict)
    successors: dict[int, list[int]] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    loops: list[Loop] = field(default_factory=list)

    def is_local(self, name: str) -> bool:
        """Whether ``name`` is a variable of a call of this function, and not of the module."""
        return name in self.types or bool(re.match(r"(\S*\.\d+)?_\d+$|D\.\d+$|iftmp\.", name))


def parse_dump(text: str, unit: str) -> list[Function]:
    """The functions of one dump, called ``unit``; unknown statements keep their kind."""
    functions: list[Function] = []
    starts = [match.start() for match in re.finditer(r"^;; Function ", text, re.MULTILINE)]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        functions.append(_parse_function(text[start:end], unit))
    return functions


def _parse_function(text: str, unit: str) -> Function:
    head, _, body = text.partition("\n{\n")
    found = _FUNCTION.match(text)
    function = Function(found[1] if found else "", unit)
    _parse_head(head, function)
    declarations, _, code = f"\n{body}".partition("\n  <bb ")
    for line in declarations.splitlines():
        declared = _DECLARATION.match(line)
        if declared and not declared[1]:
            function.types[declared[3]] = _UID.sub("", declared[2].strip())
    _parse_body("  <bb " + code, function)
    return function


def _parse_head(head: str, function: Function) -> None:
    header = latch = 0
    for line in head.splitlines():
        if found := _SUCCESSORS.match(line):
            function.successors[int(found[1])] = [int(each) for each in found[2].split()]
        elif (found := _LOOP.match(line)) and found[1] == "header":
            header, latch = int(found[2]), int(found[3] or 0)
        elif found and header:
            nodes = frozenset(int(each) for each in line.split()[2:])
            function.loops.append(Loop(header, latch, nodes))
    signature = re.search(
        rf"^(.*?)\b{re.escape(function.name)}D\.\d+ \((.*)\)$", head, re.MULTILINE
    )
    if signature is None:
        return
    function.returns = re.sub(r"D\.\d+", "", signature[1]).strip()
    for part in _split(signature[2]):
        kind, _, name = part.rpartition(" ")
        if kind:
            function.parameters.append(name)
            function.types[name] = re.sub(r"D\.\d+", "", kind)


def _parse_body(body: str, function: Function) -> None:
    block: list[Statement] = []
    number = 0
    for text in _statements(body):
        located = list(_LOCATION.finditer(text))
        line = f"{located[0][1]}:{located[0][2]}" if located else ""
        if line and not function.file:
            function.file = located[0][1]
        plain = _LOCATION.sub("", text).strip()
        if found := _BLOCK.match(text):
            number = int(found[1])
            block = function.blocks.setdefault(number, [])
        elif found := _STATEMENT.match(plain):
            if found[1] == "label":
                function.labels[found[2]] = number
            elif found[1] == "asm":
                block.append(Statement("asm", _asm_operands(found[2]), line))
            elif found[1] != "debug":
                block.append(Statement(found[1], tuple(_split(found[2])), line))
        elif found := _GOTO.match(plain):
            block.append(Statement("goto", (found[1],), line))


def _statements(body: str) -> list[str]:
    """The lines of the body; an asm statement, which spans several, as one."""
    joined: list[str] = []
    inside = False
    for line in body.splitlines():
        if inside:
            joined[-1] += "\n" + line
            inside = line != "  >"
        else:
            joined.append(line)
            inside = "gimple_asm <" in line
    return joined


def _asm_operands(text: str) -> tuple[str, ...]:
    """What an asm statement writes; "memory" goes without saying."""
    output = re.search(r"^    OUTPUT: (.*)$", text, re.MULTILINE)
    if output is None:
        return ()
    return tuple(_ASM.sub("", each, count=1).strip() for each in _split(output[1]))


def _split(text: str) -> list[str]:
    """Split at commas that are in no brackets and no string."""
    parts, depth, start = [], 0, 0
    for token in _SPLIT.finditer(text):
        if token[0] in ("[", "(", "{", "<"):
            depth += 1
        elif token[0] in ("]", ")", "}", ">"):
            depth -= 1
        elif token[0] == ", " and depth == 0:
            parts.append(text[start : token.start()])
            start = token.end()
    return [*parts, text[start:]]


@cache
def parse_operand(text: str) -> Expression:
    """Parse an operand; a form that is not known becomes ``("text", ...)``."""
    tokens = _TOKEN.findall(text)
    try:
        expression, rest = _unary(tokens)
    except (IndexError, ValueError):
        return ("text", text)
    return expression if not rest else ("text", text)


def _unary(tokens: list[str]) -> tuple[Expression, list[str]]:
    first, rest = tokens[0], tokens[1:]
    if first in ("&", "*"):
        inner, rest = _unary(rest)
        return (("addr", inner) if first == "&" else ("deref", inner, 0)), rest
    if first == "(":
        inner, rest = _unary(rest)
        if rest[0] != ")":
            raise ValueError
        return _postfix(inner, rest[1:])
    if first == "MEM":
        return _memory(rest)
    return _plain(first, rest)


def _plain(first: str, rest: list[str]) -> tuple[Expression, list[str]]:
    if first == "-":
        return ("int", -int(rest[0].rstrip("B"))), rest[1:]
    if first[0].isdigit():
        return ("int", int(first.rstrip("B"))), rest
    if first[0] == '"':
        return ("string", first), rest
    if not re.match(r"[\w$]", first):
        raise ValueError
    return _postfix(("name", first), rest)


def _memory(tokens: list[str]) -> tuple[Expression, list[str]]:
    """``MEM[(TYPE *)POINTER + OFFSET]``, also with ``<TYPE>`` after MEM."""
    tokens = tokens[tokens.index("[") + 1 :]
    depth = 0
    while tokens:
        depth += {"(": 1, ")": -1}.get(tokens[0], 0)
        tokens = tokens[1:]
        if depth == 0:
            break
    inner, tokens = _unary(tokens)
    offset = 0
    if tokens[0] == "+":
        offset, tokens = int(tokens[1].rstrip("B")), tokens[2:]
    if tokens[0] != "]":
        raise ValueError
    return _postfix(("deref", inner, offset), tokens[1:])


def _postfix(expression: Expression, tokens: list[str]) -> tuple[Expression, list[str]]:
    while tokens and tokens[0] in ("->", ".", "["):
        if tokens[0] == "[":
            inner, tokens = _unary(tokens[1:])
            if tokens[0] != "]":
                raise ValueError
            expression, tokens = ("index", expression, inner), tokens[1:]
            continue
        if tokens[0] == "->":
            expression = ("deref", expression, 0)
        member = _UID.sub("", tokens[1])
        if not re.match(r"D\.\d+$", member):  # an anonymous struct or union has no name
            expression = ("field", expression, member)
        tokens = tokens[2:]
    return expression, tokens
