# SPDX-License-Identifier: MIT
"""Draws docs/rooms.svg: the rooms of the harness and which room uses which, read from the code.

Rows come from ``.importlinter``, arrows from the imports that grimp finds, descriptions from the
first sentence of each room's docstring. An arrow is left out when a longer path of arrows says the
same (transitive reduction). Run it as ``python docs/draw_rooms.py`` in a checkout with the dev
extra installed; the picture changes only when rooms, imports or docstrings change.
"""

from __future__ import annotations

import ast
import configparser
import html
import importlib.util
from collections import defaultdict
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "rooms.svg"

_DATA_LINE = ("kernels", "images", "vm", "guest", "interface", "verdict", "report")
_PACKAGES = ("harness", "providers_sim", "scenarios", "tsmw")
# Rooms that any other room may use; arrows to them would hide the rest.
_TOOLS = ("cache", "errors", "git", "identity", "paths", "progress", "timeouts")
_WIDTH, _ROW, _BOX_WIDTH, _BOX_HEIGHT, _GAP = 1180, 80, 190, 46, 20

Edges = dict[str, set[str]]


def read_rows() -> list[list[str]]:
    """The rows of rooms from the top, without ``__main__`` and the tools."""
    config = configparser.ConfigParser(inline_comment_prefixes=("#",))
    config.read(ROOT / ".importlinter", encoding="utf-8")
    layers = config["importlinter:contract:rooms"]["layers"].split("\n")
    rows = [[name.strip() for name in layer.split("|")] for layer in layers if layer.strip()]
    drawn = [[room for room in row if room not in (*_TOOLS, "__main__")] for row in rows]
    return [["scenarios"], *(row for row in drawn if row), ["providers_sim"], ["tsmw"]]


def room_of(module: str) -> str:
    """The room that a module belongs to: a child of harness, or one of the other packages."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "harness" and rest else package


def read_edges(rooms: set[str]) -> Edges:
    """Which rooms each room imports, without those that are also reached over another room."""
    graph = grimp.build_graph(*_PACKAGES)
    edges: Edges = defaultdict(set)
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            pair = room_of(module), room_of(imported)
            if pair[0] != pair[1] and rooms.issuperset(pair):
                edges[pair[0]].add(pair[1])
    return {
        room: {b for b in used if not _reached(edges, used - {b}, b)}
        for room, used in edges.items()
    }


def _reached(edges: Edges, start: set[str], wanted: str) -> bool:
    seen: set[str] = set()
    left = set(start)
    while left:
        room = left.pop()
        if room == wanted:
            return True
        seen.add(room)
        left |= edges.get(room, set()) - seen
    return False


def describe(room: str) -> str:
    """The first sentence of the room's docstring."""
    name = room if room in _PACKAGES else f"harness.{room}"
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None, name
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split()).split(". ")[0].rstrip(".")


def place(rows: list[list[str]]) -> dict[str, tuple[float, float]]:
    """Left and top of each room's box, in pixels.

    The line of data is the middle column. A room that is alone in its row stands left or right of
    it in turn, so that arrows pass beside boxes.
    """
    boxes = {}
    for number, row in enumerate(rows):
        top = 20.0 + number * _ROW
        width = len(row) * (_BOX_WIDTH + _GAP) - _GAP
        left = (_WIDTH - width) / 2
        if len(row) == 1 and row[0] not in _DATA_LINE:
            left += (_BOX_WIDTH + 2 * _GAP) * (1 if number % 2 else -1)
        for column, room in enumerate(row):
            boxes[room] = (left + column * (_BOX_WIDTH + _GAP), top)
    return boxes


def draw() -> str:
    """The picture as SVG text."""
    rows = read_rows()
    boxes = place(rows)
    edges = read_edges(set(boxes))
    height = 60 + len(rows) * _ROW
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
        "<title>Rooms of tsm-harness: an arrow leads from a room to a room that it uses</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#667"/></marker></defs>',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
    ]
    for room in boxes:
        lines += [_arrow(boxes[room], boxes[used]) for used in sorted(edges.get(room, ()))]
    for room, (left, top) in boxes.items():
        lines += _box(room, left, top)
    tools = f"Tools that every room may use: {', '.join(_TOOLS)}"
    lines.append(
        f'<text x="{_WIDTH / 2:.0f}" y="{height - 30}" text-anchor="middle">{tools}</text>'
    )
    return "\n".join([*lines, "</svg>", ""])


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1 = start[0] + _BOX_WIDTH / 2, start[1] + _BOX_HEIGHT
    x2, y2 = end[0] + _BOX_WIDTH / 2, end[1] - 1
    bend = max(24.0, (y2 - y1) / 2)
    return (
        f'<path d="M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} '
        f'{x2:.0f} {y2:.0f}" fill="none" stroke="#99a" marker-end="url(#head)"/>'
    )


def _box(room: str, left: float, top: float) -> list[str]:
    data = room in _DATA_LINE
    number = f"{_DATA_LINE.index(room) + 1}. " if data else ""
    fill, middle = ("#fde9c8" if data else "#eef1f6"), left + _BOX_WIDTH / 2
    return [
        f"<g><title>{html.escape(describe(room))}</title>",
        f'<rect x="{left:.0f}" y="{top:.0f}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="5" '
        f'fill="{fill}" stroke="#556"/>',
        f'<text x="{middle:.0f}" y="{top + 28:.0f}" text-anchor="middle" font-size="15" '
        f'font-weight="bold">{number}{room}</text></g>',
    ]


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
