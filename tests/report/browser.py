"""A headless Chromium, driven by chromedriver's HTTP protocol (W3C WebDriver); the standard library alone."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
DRIVER = shutil.which("chromedriver")
# A test needs no network, and no profile of anybody.
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"]
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"Tab": "\ue004", "Escape": "\ue00c", "Left": "\ue012", "Up": "\ue013", "Right": "\ue014", "Down": "\ue015", "End": "\ue010"}


class Browser:
    def __init__(self, width=1280, height=900):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        line = ""
        while "started successfully" not in line:
            line = self.driver.stdout.readline()
            if not line:
                raise RuntimeError("chromedriver does not start")
        self.address = "http://127.0.0.1:" + re.search(r"port (\d+)", line).group(1)
        self.session = ""
        options = {"binary": CHROMIUM,
                   "args": ARGUMENTS + [f"--user-data-dir={self.folder.name}", f"--window-size={width},{height}"],
                   "mobileEmulation": {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 1, "touch": False}}}
        capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = "/session/" + self.post("/session", {"capabilities": {"alwaysMatch": capabilities}})["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.folder.cleanup()

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + self.session + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def post(self, path, body):
        return self.call("POST", path, body)

    def open(self, file):
        self.post("/url", {"url": "file://" + os.path.abspath(file)})

    def js(self, script, *arguments):
        return self.post("/execute/sync", {"script": script, "args": list(arguments)})

    def messages(self):
        return [entry["message"] for entry in self.post("/se/log", {"type": "browser"})]

    def find(self, selector):
        return self.post("/element", {"using": "css selector", "value": selector})

    def click(self, selector):
        self.post(f"/element/{self.find(selector)[ELEMENT]}/click", {})

    def press(self, *keys):
        steps = [{"type": what, "value": KEYS.get(key, key)} for key in keys for what in ("keyDown", "keyUp")]
        self.post("/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": steps}]})

    def point(self, selector, start, end=None):
        """Moves the pointer over an element, from its middle; with `end`, drags to there."""
        place = self.find(selector)

        def move(at):
            return {"type": "pointerMove", "duration": 20, "origin": place, "x": at[0], "y": at[1]}
        steps = [move(start)]
        if end:
            steps += [{"type": "pointerDown", "button": 0}, move(end), {"type": "pointerUp", "button": 0}]
        self.post("/actions", {"actions": [{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": steps}]})

    def emulate(self, medium="", theme="light"):
        self.post("/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {
            "media": medium, "features": [{"name": "prefers-color-scheme", "value": theme}]}})
