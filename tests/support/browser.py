"""A headless Chromium that the tests drive through its devtools protocol, over a pipe, so that no library is needed."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# A machine under load starts slowly; a page that never becomes as it should must still end the test.
_PATIENCE = 120.0


class Browser:
    """One page in Chromium."""

    def __init__(self, write: int, read: int) -> None:
        self._write = os.fdopen(write, "wb", buffering=0)
        self._read = os.fdopen(read, "rb", buffering=0)
        self._rest = b""
        self._last_id = 0
        self._session = None
        self.errors: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict:  # noqa: ANN401, JSON
        """Sends a command and returns its result; errors of the page that are reported meanwhile are kept."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._last_id:
                assert "error" not in answer, answer
                return answer["result"]

    def _receive(self) -> dict:
        while b"\0" not in self._rest:
            part = os.read(self._read.fileno(), 1 << 16)
            assert part, "the browser has ended"
            self._rest += part
        one, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(one)
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"].get("exception", {}).get("description", str(params)))
        elif message.get("method") == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif message.get("method") == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.errors.append(str(params["args"]))
        return message

    def open(self, page: Path, width: int = 1400, height: int = 900, dark: bool = False, mobile: bool = False) -> None:
        """Loads a page from disk and waits until it and its images are there."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.errors.clear()
        self.send("Page.navigate", url=page.resolve().as_uri())
        self.wait_for(f"location.href === {json.dumps(page.resolve().as_uri())} && document.readyState === 'complete'")

    def run(self, script: str) -> Any:  # noqa: ANN401, JSON
        """The value of an expression in the page."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Returns when an expression is true."""
        end = time.monotonic() + _PATIENCE
        while not self.run(script):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.02)

    def click(self, selector: str, place: int = 0) -> None:
        """Clicks with the mouse, as a person does, on an element that is scrolled into view."""
        find = f"document.querySelectorAll({json.dumps(selector)})[{place}]"
        # In the middle, where nothing of the page that sticks to an edge covers it.
        self.run(f"{find}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        x, y = self.run(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({find}.getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Presses a key: "Escape", "ArrowRight", "b"."""
        codes = {"Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Home": 36, "End": 35}
        text = {"text": key} if len(key) == 1 else {}
        code = codes.get(key, ord(key[0].upper()))
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def choose(self, selector: str, value: str) -> None:
        """Chooses an option of a drop-down."""
        self.run(
            f"(() => {{ const s = document.querySelector({json.dumps(selector)}); s.value = {json.dumps(value)};"
            "['input', 'change'].forEach((kind) => s.dispatchEvent(new Event(kind, {bubbles: true}))); })()"
        )

    def texts(self, selector: str) -> list[str]:
        """What a person reads in the elements."""
        return self.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.innerText.trim())")

    def screenshot(self, path: Path, whole: bool = False) -> None:
        """Writes what is seen, or the whole page, as a PNG."""
        answer = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))


@contextmanager
def browser() -> Iterator[Browser]:
    """Starts Chromium, and ends it."""
    read_in, write_in = os.pipe()
    read_out, write_out = os.pipe()

    def as_three_and_four() -> None:
        # The two ends where Chromium looks for them; first out of the way, for one may be 3 or 4 itself.
        ends = os.dup(read_in), os.dup(write_out)
        os.dup2(ends[0], 3)
        os.dup2(ends[1], 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=as_three_and_four,
            pass_fds=(3, 4),
            stderr=subprocess.DEVNULL,
        )
        os.close(read_in)
        os.close(write_out)
        try:
            yield Browser(write_in, read_out)
        finally:
            process.terminate()
            process.wait()
