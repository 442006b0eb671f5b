"""A headless Chromium that says what a page asked for, what failed, and how wide it is."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

from websocket import create_connection

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
    "about:blank",
]


def program() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Chromium:
    """``with Chromium(folder) as browser: browser.open(path, width)``."""

    def __init__(self, profile: Path):
        self.profile = profile

    def __enter__(self):
        self.process = subprocess.Popen(
            [program(), f"--user-data-dir={self.profile}", *FLAGS],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port_file, deadline = self.profile / "DevToolsActivePort", time.time() + 60
        while (
            not (port_file.is_file() and port_file.read_text().strip()) and time.time() < deadline
        ):
            time.sleep(0.1)
        port = port_file.read_text().splitlines()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            page = next(t for t in json.load(answer) if t["type"] == "page")
        self.socket = create_connection(page["webSocketDebuggerUrl"], timeout=60)
        self.number, self.events = 0, []
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")
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
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def evaluate(self, script: str):
        found = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        return found["result"].get("value")

    def open(self, page: Path, width: int = 1400, height: int = 900) -> list[str]:
        """Load ``page`` and return what was wrong: failed or outside requests, console errors."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.events.clear()
        self.send("Page.navigate", url=page.resolve().as_uri())
        deadline = time.time() + 60
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            if time.time() > deadline:
                return [f"{page}: did not load"]
            self.evaluate("0")
            time.sleep(0.02)
        self.evaluate("new Promise(r => setTimeout(r, 50))")
        wrong = []
        for event in self.events:
            p = event["params"]
            if event["method"] == "Network.loadingFailed":
                wrong.append(f"failed: {p['errorText']} {p['type']}")
            elif event["method"] == "Network.requestWillBeSent":
                url = p["request"]["url"]
                if not url.startswith(("file:", "data:", "blob:")):
                    wrong.append(f"asked for {url}")
            elif event["method"] == "Runtime.exceptionThrown":
                wrong.append(f"exception: {p['exceptionDetails'].get('exception', {})}")
            elif event["method"] == "Runtime.consoleAPICalled" and p["type"] == "error":
                wrong.append(f"console: {p['args']}")
            elif event["method"] == "Log.entryAdded" and p["entry"]["level"] == "error":
                wrong.append(f"log: {p['entry']['text']} {p['entry'].get('url', '')}")
        return wrong

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.evaluate("document.scrollingElement.scrollWidth - window.innerWidth")

    def screenshot(self, path: Path) -> None:
        shot = self.send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))
