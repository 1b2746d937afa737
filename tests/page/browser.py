"""A real headless Chromium, driven by its own protocol: what a page requests, and what the console says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
_LOADED = """new Promise(done => {
    const drawn = () => requestAnimationFrame(() => requestAnimationFrame(() => done(1)));
    document.readyState == "complete" ? drawn() : addEventListener("load", drawn);
})"""


@dataclass
class Tab:
    """One tab. `requested` has the addresses requested, `complaints` what the console was told."""

    socket: aiohttp.ClientWebSocketResponse
    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _number: int = 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one command; events that come meanwhile are noted."""
        self._number += 1
        await self.socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = await self.socket.receive_json(timeout=30)
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
            case "Log.entryAdded" | "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(message["params"]))
            case _:
                pass

    async def value(self, expression: str) -> Any:
        """What a line of JavaScript gives."""
        evaluated = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True)
        return evaluated["result"].get("value")

    async def visit(self, url: str, *, width: int, scheme: str) -> None:
        """Open a page in a window of this width, as a reader who prefers light or dark."""
        preferred = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.call("Emulation.setEmulatedMedia", features=preferred)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        await self.call("Page.navigate", url=url)
        await self.value(_LOADED)


@contextmanager
def chromium_running(profile: Path) -> Iterator[str]:
    """A browser that lives as long as the block; its address."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = next(filter(None, (re.search(r"ws://(127\.0\.0\.1:\d+)/", s) for s in process.stderr)))
            Thread(target=process.stderr.read, daemon=True).start()  # or it would wait for a reader
            yield f"http://{found[1]}"
        finally:
            process.terminate()


@asynccontextmanager
async def new_tab(browser: str) -> AsyncIterator[Tab]:
    """An empty tab of the browser at this address."""
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{browser}/json/new") as answer:
            page = await answer.json()
        async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            tab = Tab(socket)
            for domain in ("Page", "Log", "Runtime", "Network"):
                await tab.call(f"{domain}.enable")
            yield tab
