# SPDX-License-Identifier: MIT
"""The HTML report in a real browser: nothing is cut, all can be reached, all can be read.

Skipped where no Chromium is installed; tests/test_html.py looks at the same page without one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.report.formats import html_format
from tests.browser import Browser, chromium, find_chromium
from tests.page_model import rich_run
from tests.test_html import HOSTILE

BINARY = find_chromium()
pytestmark = pytest.mark.skipif(BINARY is None, reason="no Chromium is installed")

WIDTHS = (320, 400, 480, 560, 641, 720, 799, 801, 960, 1100, 1280, 1920)

_CUT = """[...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.skip') && e.clientWidth && e.scrollWidth > e.clientWidth + 1)
  .map(e => e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 60))"""

# The contrast of each text with the background that is behind it (WCAG 2.2).
_LOW_CONTRAST = """(() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => {
    const [r, g, b] = parse(c).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor, alpha = parse(c)[3];
      if (alpha === undefined || alpha > 0) return c;
    }
    return 'rgb(255, 255, 255)';
  };
  const low = new Set();
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => x - y);
    if ((b + 0.05) / (a + 0.05) < 4.5) low.add(e.tagName + '.' + e.className);
  }
  return [...low];
})()"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert BINARY is not None
    with chromium(BINARY) as running:
        yield running
        assert running.problems == []  # such as a style that the policy of the page forbids


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    html_format.write(root / "r.html", rich_run(root))
    return root / "r.html"


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_and_nothing_scrolls_sideways(
    browser: Browser, report: Path, width: int
) -> None:
    browser.open(report, width=width)
    browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.evaluate(_CUT) == []
    assert browser.evaluate("document.documentElement.scrollWidth") == width


def test_text_of_others_does_not_break_the_page(browser: Browser, tmp_path: Path) -> None:
    name = "x" * 300 + HOSTILE
    html_format.write(tmp_path / "r.html", rich_run(tmp_path, hostile=name, repeats=1))
    for width in (400, 1280):
        browser.open(tmp_path / "r.html", width=width)
        assert browser.evaluate(_CUT) == []
        assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate("document.querySelectorAll('script, img').length") == 0


def test_on_a_telephone_the_verdict_is_seen_first(browser: Browser, report: Path) -> None:
    browser.open(report, width=400, height=800)
    top, bottom, text = json.loads(
        str(
            browser.evaluate(
                "(r => JSON.stringify([r.top, r.bottom, document.querySelector('h1').innerText]))"
                "(document.querySelector('h1').getBoundingClientRect())"
            )
        )
    )
    assert 0 <= top < 40 and bottom < 200
    assert text == "12 of 42 verdicts are not as expected: R1"


def bars(browser: Browser) -> list[tuple[float, float, str]]:
    """Return the places of the bars of the first timeline, in the order of their rows."""
    found = browser.evaluate(
        "JSON.stringify([...document.querySelector('.timeline').querySelectorAll('.bar')]"
        ".map(e => [e.getBoundingClientRect().x, e.getBoundingClientRect().y, e.innerText]))"
    )
    return [(x, y, text) for x, y, text in json.loads(str(found))]


def test_on_a_telephone_the_timeline_reads_downwards(browser: Browser, report: Path) -> None:
    browser.open(report, width=400)
    found = bars(browser)
    assert len({x for x, _, _ in found}) == 1
    assert sorted({y for _, y, _ in found}) == [y for _, y, _ in found]
    assert found[0][2].startswith("Alice: write to tsm0/inhex, nonce cd072cd8…")
    assert any(text.startswith("kernel: BUG: KASAN") for _, _, text in found)
    assert "Bob: read of tsm0/outblob → EFAULT" in str(
        browser.evaluate("document.querySelector('.timeline').innerText")
    )


def test_in_a_wide_window_each_lane_has_a_column(browser: Browser, report: Path) -> None:
    browser.open(report, width=1280)
    found = bars(browser)
    assert len({round(x) for x, _, _ in found}) == 5
    assert [y for _, y, _ in found] == sorted(y for _, y, _ in found)
    assert found[0][2].startswith("write to tsm0/inhex")


@pytest.mark.parametrize("width", [400, 1280])
def test_every_link_leads_to_what_it_names(browser: Browser, report: Path, width: int) -> None:
    browser.open(report, width=width)
    links = browser.evaluate("document.querySelectorAll('a[href^=\"#\"]:not(.skip)').length")
    assert isinstance(links, int) and links > 80
    for number in range(links):
        browser.evaluate(
            f"window.link = document.querySelectorAll('a[href^=\"#\"]:not(.skip)')[{number}];"
            "link.scrollIntoView({block: 'center'})"
        )
        browser.click("window.link")
        wanted, seen, top = json.loads(
            str(
                browser.evaluate(
                    "JSON.stringify([link.getAttribute('href'), location.hash,"
                    "document.getElementById(location.hash.slice(1)).getBoundingClientRect().top])"
                )
            )
        )
        assert (wanted, -1 <= top < 900) == (seen, True), (wanted, seen, top)


def test_every_link_can_be_reached_with_the_keyboard(browser: Browser, report: Path) -> None:
    browser.open(report, width=1280)
    count = browser.evaluate("document.querySelectorAll('a, summary').length")
    assert isinstance(count, int)
    reached = set()
    browser.evaluate("[...document.querySelectorAll('a, summary')].forEach((e, n) => e.n = n)")
    for _ in range(count):
        browser.key("Tab")
        reached.add(browser.evaluate("document.activeElement.n"))
        if len(reached) == 1:
            assert browser.evaluate("document.activeElement.className") == "skip"
            assert browser.evaluate("document.activeElement.getBoundingClientRect().left >= 0")
    assert reached == set(range(count))


def test_details_open_with_the_keyboard(browser: Browser, report: Path) -> None:
    browser.open(report, width=1280)
    browser.evaluate("document.querySelector('summary').focus()")
    browser.key("Enter")
    assert browser.evaluate("document.querySelector('details').open") is True


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_has_enough_contrast(browser: Browser, report: Path, dark: bool) -> None:
    browser.open(report, width=1280, dark=dark)
    light = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light == ("rgb(20, 23, 26)" if dark else "rgb(255, 255, 255)")
    assert browser.evaluate(_LOW_CONTRAST) == []
    browser.evaluate("document.querySelector('p').style.color = 'var(--line)'")
    assert browser.evaluate(_LOW_CONTRAST) != []


def test_the_printed_page_has_everything(browser: Browser, report: Path) -> None:
    browser.open(report, width=750, dark=True)
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert browser.evaluate(_LOW_CONTRAST) == []
    hidden = browser.evaluate("document.querySelector('details pre').checkVisibility()")
    assert hidden is True
    assert browser.evaluate("document.querySelector('nav').checkVisibility()") is False
    assert browser.pdf().startswith(b"%PDF")
    browser.call("Emulation.setEmulatedMedia", media="")
