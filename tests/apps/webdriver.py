"""Chromium, driven through chromedriver by the W3C WebDriver protocol."""

import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

CHROMIUM = shutil.which("chromium")
CHROMEDRIVER = shutil.which("chromedriver")
MISSING = None if CHROMIUM and CHROMEDRIVER else "chromium and chromium-driver are not installed"
ENTER = "\ue007"
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's name for a reference to one

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--no-proxy-server"]


class Driver:
    """A chromedriver on a free port; it and its browsers are a process group of their own."""

    def __init__(self, patience):
        self.patience = patience
        self.browsers = []
        self.scratch = tempfile.TemporaryDirectory(prefix="cress-chromium-", ignore_cleanup_errors=True)
        self.process = subprocess.Popen([CHROMEDRIVER, "--port=0"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        start_new_session=True)
        self.port = None
        for line in self.process.stdout:
            if started := re.search(r"started successfully on port (\d+)", line):
                self.port = int(started[1])
                break
        if not self.port:
            self.stop()
            raise AssertionError("chromedriver did not start")

    def stop(self):
        for browser in self.browsers:
            with contextlib.suppress(AssertionError, OSError):
                browser.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.scratch.cleanup()

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2 * self.patience)
        try:
            connection.request(method, path, None if body is None else json.dumps(body),
                               {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{method} {path}: {value['error']}: {value['message']}")
        return value


class Browser:
    """One Chromium with a profile of its own."""

    def __init__(self, driver):
        self.driver = driver
        profile = tempfile.mkdtemp(dir=driver.scratch.name)
        flags = [*FLAGS, f"--user-data-dir={profile}"]
        options = {"binary": CHROMIUM, "args": flags}
        always = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = driver.call("POST", "/session", {"capabilities": {"alwaysMatch": always}})
        self.path = "/session/" + session["sessionId"]
        driver.browsers.append(self)

    def call(self, method, path, body=None):
        return self.driver.call(method, self.path + path, body)

    def command(self, name, **parameters):
        """One of the Chrome DevTools Protocol."""
        return self.call("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def resize(self, width, height, scale=1, phone=False):
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height,
                     deviceScaleFactor=scale, mobile=phone)
        self.command("Emulation.setTouchEmulationEnabled", enabled=phone)

    def go(self, url):
        self.call("POST", "/url", {"url": url})

    def reload(self):
        self.call("POST", "/refresh", {})

    def run(self, script, *args):
        return self.call("POST", "/execute/sync", {"script": script, "args": args})

    def find(self, selector):
        found = self.call("POST", "/element", {"using": "css selector", "value": selector})
        return "/element/" + found[ELEMENT]

    def type(self, selector, text):
        self.call("POST", self.find(selector) + "/value", {"text": text})

    def click(self, selector):
        self.call("POST", self.find(selector) + "/click", {})

    def wait(self, condition, *args):
        """Until the JavaScript expression is true; `args` are its arguments[i]."""
        deadline = time.monotonic() + self.driver.patience
        while not self.run(f"return {condition}", *args):
            if time.monotonic() > deadline:
                text = self.run("return document.body.innerText")
                raise AssertionError(f"never true: {condition} {args}\n--- the page ---\n{text}")
            time.sleep(0.05)

    def console(self):
        return [line["message"] for line in self.call("POST", "/se/log", {"type": "browser"})]

    def screenshot(self, file):
        with open(file, "wb") as out:
            out.write(base64.b64decode(self.call("GET", "/screenshot")))

    def close(self):
        self.call("DELETE", "")
