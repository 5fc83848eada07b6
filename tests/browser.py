# SPDX-License-Identifier: MIT
"""Drives a Chromium that is installed, through its DevTools protocol on two pipes.

``--remote-debugging-pipe``: the browser reads JSON messages that end with a NUL from descriptor 3,
and writes its own to descriptor 4.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.timeouts import Timeouts

__all__ = ["Browser", "chromium", "find_chromium"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 90.0
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe", "about:blank",
)  # fmt: skip


def find_chromium() -> str | None:
    """Return the path of a browser that this module can drive."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page in a browser; ``problems`` are the messages of its console."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._out, self._in = to_browser, from_browser
        self._data = b""
        self._id = 0
        self._session = ""
        self.problems: list[str] = []
        target = self._page()
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def _page(self) -> dict[str, Any]:
        """Return the page that the browser opens at its start; it may take a moment."""
        deadline = Timeouts().deadline(_SECONDS, "the start of the browser")
        while True:
            targets: list[dict[str, Any]] = self.call("Target.getTargets")["targetInfos"]
            for target in targets:
                if target["type"] == "page":
                    return target
            deadline.remaining()

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        self._id += 1
        message: dict[str, object] = {"id": self._id, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._id:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def wait_for(self, event: str) -> None:
        """Wait for an event of the protocol."""
        while self._receive().get("method") != event:
            pass

    def _receive(self) -> dict[str, Any]:
        deadline = Timeouts().deadline(_SECONDS, "a message of the browser")
        while b"\0" not in self._data:
            if select.select([self._in], [], [], deadline.remaining())[0]:
                data = os.read(self._in, 1 << 16)
                assert data, "the browser has ended"
                self._data += data
        text, _, self._data = self._data.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
            self.problems.append(json.dumps(message["params"]))
        return message

    def open(self, path: Path, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Load a file into a window of this size."""
        self.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait_for("Page.loadEventFired")

    def resize(self, width: int, height: int) -> None:
        """Change the size of the window, in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def evaluate(self, expression: str) -> object:
        """Return the value of a JavaScript expression; works on pages that forbid scripts, too."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def click(self, element: str) -> None:
        """Click into the middle of the first line of an element, given as an expression."""
        place = self.evaluate(
            f"(r => JSON.stringify([r.x + r.width / 2, r.y + r.height / 2]))"
            f"(({element}).getClientRects()[0])"
        )
        x, y = json.loads(str(place))
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, name: str) -> None:
        """Press and release a key, like Tab or Enter."""
        text = {"Enter": "\r"}.get(name, "")
        code = {"Enter": 13, "Tab": 9}[name]
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=name, code=name, text=text,
                windowsVirtualKeyCode=code,
            )  # fmt: skip

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write the page as PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def pdf(self) -> bytes:
        """Return the page as it is printed on A4."""
        return base64.b64decode(
            self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.7)["data"]
        )


@contextlib.contextmanager
def chromium(binary: str) -> Iterator[Browser]:
    """Run a browser with an empty profile."""
    with tempfile.TemporaryDirectory() as profile, contextlib.ExitStack() as closing:
        command_out, command_in = os.pipe()
        answer_out, answer_in = os.pipe()
        for descriptor in (command_in, answer_out):
            closing.callback(os.close, descriptor)
        script = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'
        arguments = [str(command_out), str(answer_in), binary, f"--user-data-dir={profile}"]
        process = subprocess.Popen(
            ["bash", "-c", script, "-", *arguments, *_OPTIONS],
            pass_fds=(command_out, answer_in),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        closing.callback(process.wait)
        closing.callback(process.kill)
        os.close(command_out)
        os.close(answer_in)
        yield Browser(command_in, answer_out)
