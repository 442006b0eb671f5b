"""A headless Chromium that says what a page asked for, what failed, and how wide it is."""

import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

from websocket import create_connection

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--remote-debugging-port=0", "--remote-allow-origins=*", "about:blank"]


def program() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Chromium:
    """``with Chromium(folder) as browser: browser.open(path, width)``."""

    def __init__(self, profile: Path):
        self.number, self.events = 0, []
        self.process = subprocess.Popen([program(), f"--user-data-dir={profile}", *FLAGS],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port_file, deadline = profile / "DevToolsActivePort", time.time() + 60
        while not (port_file.is_file() and port_file.read_text()) and time.time() < deadline:
            time.sleep(0.1)
        port = port_file.read_text().splitlines()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            page = next(t for t in json.load(answer) if t["type"] == "page")
        self.socket = create_connection(page["webSocketDebuggerUrl"], timeout=60)
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)

    def send(self, method: str, **params) -> dict:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.number:
                return message["result"]  # a KeyError where the browser says "error"
            self.events.append(message)

    def evaluate(self, script: str):
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True,
                          awaitPromise=True)
        return found["result"].get("value")

    def open(self, page: Path, width: int = 1400) -> list[str]:
        """Load ``page`` and return what was wrong: failed or outside requests, console errors."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=1, mobile=width < 600)
        self.events.clear()
        self.send("Page.navigate", url=page.resolve().as_uri())
        deadline = time.time() + 60
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            if time.time() > deadline:
                return [f"{page}: did not load"]
            self.evaluate("new Promise(r => setTimeout(r, 50))")
        self.evaluate("new Promise(r => setTimeout(r, 50))")
        return [f"{event['method']}: {event['params']}" for event in self.events if wrong(event)]

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")


def wrong(event: dict) -> bool:
    method, p = event["method"], event["params"]
    if method == "Network.requestWillBeSent":
        return not p["request"]["url"].startswith(("file:", "data:", "blob:"))
    return method in ("Network.loadingFailed", "Runtime.exceptionThrown") or \
        method == "Runtime.consoleAPICalled" and p["type"] == "error" or \
        method == "Log.entryAdded" and p["entry"]["level"] == "error"
