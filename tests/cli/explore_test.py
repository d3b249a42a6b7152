"""explore_test.py <server | limits | results | browser> <specmoe>: specmoe explore, as a browser and as a stranger meet it.

Exit status 77: browser, and no Chromium or no driver here."""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "report"))
from browser import CHROMIUM, DRIVER, Browser  # noqa: E402

SCENARIO = """name: small
description: two strategies
seed: 3
platform: rtx4090
model: qwen1.5-moe-a2.7b
routing:
  generate: {zipf: 0.5, reuse: 0.3, correlation: 0.1}
workload: {requests: 2, batch: 2, prompt_tokens: 4, output_tokens: 6}
cache: {capacity: 2 GB, eviction: lru}
strategies:
  - name: on-demand
  - name: gate
    prefetch: {predictor: gate, window: 1, accuracy: 0.9}
"""
# Seconds of simulating.
LONG = SCENARIO.replace("output_tokens: 6", "output_tokens: 4000")
LINK = {"path": "platform.links.pcie.bandwidth", "value": "x2"}


def equal(found, expected, what):
    if found != expected:
        sys.exit(f"{what}: {found}; expected {expected}")


def holds(true, what):
    if not true:
        sys.exit(f"does not hold: {what}")


class Explore:
    """specmoe explore in this folder, until the end of a with."""

    def __init__(self, specmoe, file="small.yaml", *options):
        self.process = subprocess.Popen([specmoe, "explore", file, "--no-open", *options], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        parts = urllib.parse.urlsplit(self.url)
        self.host, self.port = parts.hostname, parts.port
        self.token = urllib.parse.parse_qs(parts.query)["token"][0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            equal(self.end(), 0, "exit status after Ctrl-C")

    def end(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=20)

    def request(self, method, path, body=None, headers=None, **named):
        headers = {"X-SpecMoE-Token": self.token, "Content-Type": "application/json", **(headers or {}), **named}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=120)
        try:
            connection.request(method, path, body, {name: value for name, value in headers.items() if value is not None})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def ask(self, *edits):
        status, body, _ = self.request("POST", "/ask", json.dumps({"edits": edits}))
        return status, json.loads(body)


def write(name, text):
    with open(name, "w") as file:
        file.write(text)


def whatif(specmoe, *changes):
    sets = [word for change in changes for word in ("--set", f"{change['path']}={change['value']}")]
    out = subprocess.run([specmoe, "whatif", "small.yaml", *sets, "--format", "json", "--out", "other"], check=True, capture_output=True)
    return json.loads(out.stdout)


def children(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout.split()
    return [child for one in found for child in [one, *children(one)]]


def alive(pids):
    def state(pid):
        try:
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return "Z"
    return [pid for pid in pids if state(pid) != "Z"]


def test_server(specmoe):
    write("small.yaml", SCENARIO)
    with Explore(specmoe) as explore:
        equal(explore.host, "127.0.0.1", "host")
        holds(len(explore.token) == 32 and int(explore.token, 16) >= 0, f"the token is 128 bits: {explore.token}")
        listening = []
        for name in ("/proc/net/tcp", "/proc/net/tcp6"):
            if os.path.exists(name):
                with open(name) as file:
                    rows = [line.split() for line in file]
                listening += [address for _, address, _, state, *_ in rows if state == "0A" and address.endswith(f":{explore.port:04X}")]
        equal(listening, [f"0100007F:{explore.port:04X}"], "the one address that listens is 127.0.0.1")

        # Who may come in.
        get = explore.request
        equal(get("GET", f"/?token={explore.token}", **{"X-SpecMoE-Token": None})[0], 200, "token in the address")
        equal(get("GET", "/")[0], 200, "token in the head")
        wrong = "0" * 32
        for token in (None, "", wrong, explore.token[:-1], explore.token + "0"):
            equal(get("GET", "/", **{"X-SpecMoE-Token": token})[0], 403, f"token {token}")
            equal(get("POST", "/ask", '{"edits": []}', **{"X-SpecMoE-Token": token})[0], 403, f"token {token}")
        equal(get("GET", f"/?token={wrong}", **{"X-SpecMoE-Token": None})[0], 403, "wrong token in the address")
        for host in ("evil.example", f"evil.example:{explore.port}", "127.0.0.1", f"127.0.0.1.evil.example:{explore.port}"):
            equal(get("GET", "/", Host=host)[0], 403, f"Host {host}")
        equal(get("GET", "/", Host=f"localhost:{explore.port}")[0], 200, "localhost")
        equal(get("GET", "/etc/passwd")[0], 404, "another path")
        headers = get("GET", "/")[2]
        equal(headers["Cache-Control"], "no-store", "Cache-Control")
        equal(headers["X-Content-Type-Options"], "nosniff", "X-Content-Type-Options")
        holds("default-src 'none'" in headers["Content-Security-Policy"] and "frame-ancestors 'none'" in headers["Content-Security-Policy"], "policy")

        # What may be asked.
        equal(get("POST", "/ask", b" " * (64 * 1024 + 1))[0], 413, "a body of 64 KiB and 1 B")
        equal(get("POST", "/ask", b" " * (64 * 1024))[0], 400, "a body of 64 KiB")
        equal(get("POST", "/ask", iter([b"{}"]), **{"Transfer-Encoding": "chunked"})[0], 411, "a body of unknown length")
        equal(get("POST", "/ask", "{}", **{"Content-Type": "text/plain"})[0], 415, "a simple request of another page")
        for body in ("", "[", "[]", "{}", '{"edits": {}}', '{"edits": [1]}', '{"edits": [{"path": "seed"}]}', '{"edits": [], "more": 1}'):
            equal(get("POST", "/ask", body)[0], 400, f"body {body}")
        for path, value in (("routing.trace", "/etc/passwd"), ("platform", "/etc/passwd"), ("platform.links.nvlink.bandwidth", "x2"),
                            ("cache.capacity", "{a: b}"), ("cache.capacity", "1 GB\n"), ("workload.batch", "1" * 41), ("workload.batch", "")):
            status, answer = explore.ask({"path": path, "value": value})
            equal(status, 400, f"{path}={value}")
            holds(path in answer["error"], answer)
        status, answer = explore.ask({"path": "cache.capacity", "value": "300 %"})
        equal(status, 400, "what the reader refuses")
        holds('cache.capacity: "300 %"; expected 0 to 100 %' in answer["error"], answer)

        # The same numbers as specmoe whatif.
        equal(explore.ask(), (200, whatif(specmoe)), "the base")
        equal(explore.ask(LINK), (200, whatif(specmoe, LINK)), "twice the link")
        several = [LINK, {"path": "cache.capacity", "value": "20 %"}, {"path": "strategies[gate].prefetch.accuracy", "value": "0.5"},
                   {"path": "workload.batch", "value": "4"}, {"path": "workload.requests", "value": "4"}]
        equal(explore.ask(*several), (200, whatif(specmoe, *several)), "several changes")
        other = {"path": "platform", "value": "h100_sxm_80gb"}
        answer = explore.ask(other)
        equal(answer, (200, whatif(specmoe, other)), "another platform")
        equal(answer[1]["changed"]["platform"], "h100_sxm_80gb", "its platform")
        holds(os.path.exists("results/whatif-small/journal/explore-1.journal"), "what was asked is kept")
    equal(explore.process.returncode, 0, "exit status")


def test_limits(specmoe):
    write("small.yaml", LONG)
    with Explore(specmoe, "small.yaml", "--limit", "0.7", "--port", "0") as explore:
        start = time.monotonic()
        status, answer = explore.ask()
        equal(status, 504, "an answer that takes too long")
        holds("0.7 s" in answer["error"], answer)
        holds(time.monotonic() - start < 5, "it is ended")
        equal(alive(children(explore.process.pid)), [], "its processes are ended")

    # Two at a time, four wait; who comes then is told so. Ctrl-C ends all of them.
    with Explore(specmoe) as explore:
        statuses = []
        askers = [threading.Thread(target=lambda: statuses.append(explore.ask()[0])) for _ in range(8)]
        for asker in askers:
            asker.start()
        until = time.monotonic() + 10
        while (len(statuses) < 2 or len(children(explore.process.pid)) < 4) and time.monotonic() < until:
            time.sleep(0.05)
        equal(statuses, [429, 429], "the seventh and the eighth")
        running = subprocess.run(["ps", "-o", "pid=", "--ppid", str(explore.process.pid)], capture_output=True, text=True).stdout.split()
        equal(len(running), 2, "questions under way")
        below = children(explore.process.pid)
        equal(explore.end(), 0, "exit status after Ctrl-C")
        for asker in askers:
            asker.join()
        equal(sorted(statuses), [429] * 2 + [503] * 6, "answers at the end")
        time.sleep(0.3)
        equal(alive(below), [], "processes after the end")

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = subprocess.run([specmoe, "explore", "small.yaml", "--no-open", "--port", str(taken.getsockname()[1])], capture_output=True, text=True)
        equal((ended.returncode, ended.stdout), (2, ""), "a port that is taken")
        holds("cannot be listened to" in ended.stderr, ended.stderr)


def test_results(specmoe):
    """results.h5 is explored by the scenario that it tells; a study by its base."""
    os.mkdir("scenarios")
    write("scenarios/small.yaml", SCENARIO)
    subprocess.run([specmoe, "run", "scenarios/small.yaml", "--out", "out"], check=True, stdout=subprocess.DEVNULL)
    runs = json.loads(subprocess.run([specmoe, "run", "scenarios/small.yaml", "--format", "json", "--out", "out"], check=True, capture_output=True).stdout)["runs"]
    with Explore(specmoe, "out/results.h5") as explore:
        equal([row["tpot"] for row in explore.ask()[1]["base"]["strategies"]], [run["tpot"] for run in runs], "TPOT")
        holds(b'"results":[{' in explore.request("GET", "/")[1], "the page has the results too")
    write("study.yaml", "name: study\nscenario: scenarios/small.yaml\nset: {workload.batch: 1}\naxes: {cache.capacity: [1 GB, 2 GB]}\n")
    with Explore(specmoe, "study.yaml") as explore:
        equal(explore.ask()[1]["base"]["batch"], 1, "batch of the study")

    def refused(file, why):
        ended = subprocess.run([specmoe, "explore", file, "--no-open"], capture_output=True, text=True)
        equal((ended.returncode, ended.stdout, ended.stderr.count("\n")), (2, "", 1), file)
        holds(why in ended.stderr, ended.stderr)
    write("scenarios/small.yaml", SCENARIO.replace("seed: 3", "seed: 4"))
    refused("out/results.h5", "is not the scenario that was run")
    os.remove("scenarios/small.yaml")
    refused("out/results.h5", "is not the scenario that was run")
    write("broken.yaml", SCENARIO.replace("batch: 2", "batch: many"))
    refused("broken.yaml", "workload.batch")


def test_browser(specmoe):
    if not CHROMIUM or not DRIVER:
        print("SKIPPED: no Chromium with chromedriver here")
        sys.exit(77)
    write("small.yaml", SCENARIO)
    bars = ("const figure = specmoePage.figures.find(({id}) => id === arguments[0]);"
            "return figure.chart?.data.datasets.map(({data}) => data.map(({x}) => x)) ?? []")

    def answered(browser, sides):
        for _ in range(200):
            if browser.js("return document.querySelector('.busy').hidden") and len(browser.js(bars, "explore-speed")) == sides:
                return
            time.sleep(0.05)
        sys.exit(f"no answer with {sides} sides")

    def speeds(point):
        return [row["tokens_per_second"] for row in point["strategies"]]

    with Explore(specmoe) as explore, Browser() as browser:
        browser.post("/url", {"url": explore.url})
        answered(browser, 1)
        equal(browser.js(bars, "explore-speed"), [speeds(whatif(specmoe)["base"])], "the scenario as it is")
        # By the keyboard: a step of the link's slider is a factor of 2^(1/4) = 1.1892.
        browser.js("document.getElementById('explore-link').focus()")
        browser.press("Right", "Right", "Right", "Right")
        answered(browser, 2)
        answer = whatif(specmoe, LINK)
        equal(browser.js(bars, "explore-speed"), [speeds(answer["base"]), speeds(answer["changed"])], "twice the link")
        equal(browser.js("return document.getElementById('explore-link').getAttribute('aria-valuetext')"), "52 GB/s (pcie x2)", "what the slider says")
        words = browser.js("return document.querySelector('#explore .answer').textContent")
        holds(words.startswith("Changed: link bandwidth 26 GB/s (pcie x1) -> 52 GB/s (pcie x2). Fastest: "), words)
        unnamed = "return [...document.querySelectorAll('input[type=range]')].filter(({labels, ariaValueText}) => !labels.length || !ariaValueText).length"
        equal(browser.js(unnamed), 0, "sliders without a name or a value in words")
        equal(browser.js("return document.querySelectorAll('input[type=range]').length"), 5, "sliders")

        # What cannot run, and back.
        move = "const input = document.getElementById(arguments[0]); input.value = arguments[1]; input.dispatchEvent(new Event('input'))"
        browser.js(move, "explore-cache", "100")
        time.sleep(0.6)
        answered(browser, 2)
        holds("cannot run: --set cache.capacity=" in browser.js("return document.querySelector('.problem').textContent"), "a point that cannot run")
        browser.click("#explore-reset")
        time.sleep(0.6)
        answered(browser, 1)
        equal(browser.js("return document.querySelector('.problem').hidden"), True, "no problem any more")
        equal(browser.messages(), [], "messages on the console")
        equal(browser.js("return [...new Set(performance.getEntriesByType('resource').map(({name}) => new URL(name).pathname))]"), ["/ask"], "requests")
        with Browser(360, 740) as phone:
            phone.post("/url", {"url": explore.url})
            answered(phone, 1)
            equal(phone.js("return document.documentElement.scrollWidth"), 360, "width on a phone")


if __name__ == "__main__":
    part, binary = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        globals()[f"test_{part}"](binary)
