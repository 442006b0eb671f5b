"""A headless Chromium that says what a page asked for, what failed, and how wide it is."""

import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from websocket import create_connection

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--remote-debugging-port=0", "--remote-allow-origins=*", "about:blank"]


@contextmanager
def chromium(profile: Path):
    """A ``Browser``; what it keeps lies in the folder ``profile``."""
    process = subprocess.Popen([PROGRAM, f"--user-data-dir={profile}", *FLAGS],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    port, deadline = profile / "DevToolsActivePort", time.time() + 60
    while not (port.is_file() and port.read_text()) and time.time() < deadline:
        time.sleep(0.1)
    try:
        yield Browser(port.read_text().splitlines()[0])
    finally:
        process.terminate()
        process.wait(30)


class Browser:
    def __init__(self, port: str):
        self.number, self.events = 0, []
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            page = next(t for t in json.load(answer) if t["type"] == "page")
        self.socket = create_connection(page["webSocketDebuggerUrl"], timeout=60)
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def receive(self) -> dict:
        message = json.loads(self.socket.recv())
        self.events += [message] * ("method" in message)
        return message

    def send(self, method: str, **params) -> dict:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while (message := self.receive()).get("id") != self.number:
            pass
        return message["result"]  # a KeyError where the browser says "error"

    def evaluate(self, script: str):
        return self.send("Runtime.evaluate", expression=script, returnByValue=True,
                         awaitPromise=True)["result"].get("value")

    def open(self, page: Path, width: int = 1400) -> list[str]:
        """Load ``page`` and return what was wrong: failed or outside requests, console errors."""
        self.width(width)
        self.events.clear()
        self.send("Page.navigate", url=page.resolve().as_uri())
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            self.receive()  # an error of the socket where nothing comes for a minute
        self.evaluate("new Promise(r => setTimeout(r, 50))")
        return [f"{event['method']}: {event['params']}" for event in self.events if wrong(event)]

    def width(self, width: int) -> None:
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=900, mobile=width < 600,
                  deviceScaleFactor=1)

    def overflow(self) -> list[str]:
        """What is wider than its window: the page, or a table of a chapter."""
        return self.evaluate("""[document.scrollingElement, ...document.querySelectorAll(
            'div.output:has(table)')].filter(e => e.scrollWidth > e.clientWidth + 1)
            .map(e => e.innerText.slice(0, 80))""")


def wrong(event: dict) -> bool:
    method, p = event["method"], event["params"]
    if method == "Network.requestWillBeSent":
        return not p["request"]["url"].startswith(("file:", "data:", "blob:"))
    return method in ("Network.loadingFailed", "Runtime.exceptionThrown") or \
        method == "Runtime.consoleAPICalled" and p["type"] == "error" or \
        method == "Log.entryAdded" and p["entry"]["level"] == "error"
