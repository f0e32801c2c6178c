#!/usr/bin/env python3
"""Opens the pages of `cargo run -p synod-reports --example pages -- PAGES` in a real browser and uses them.

    apt-get install chromium chromium-driver
    reports/tests/browser.py PAGES SCREENSHOTS

Speaks the WebDriver protocol to chromedriver with Python's standard library alone. Exit code 0 when all checks pass.
"""

import base64
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

EVENTS_MIN = 20_000


class Browser:
    """One window of a headless browser."""

    def __init__(self, dark=False, width=1280, height=900):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        driver = shutil.which("chromedriver") or sys.exit("browser test: chromedriver is not installed")
        self.driver = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                port = line.rstrip(". \n").split()[-1]
                break
        self.base = f"http://127.0.0.1:{port}"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                     f"--user-data-dir={self.folder.name}", f"--window-size={width},{height}"]
        if dark:
            arguments.append("--force-dark-mode")
        capabilities = {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {"args": arguments},
        }
        self.session = ""
        answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self.session = f"/session/{answer['sessionId']}"
        self.resize(width, height)
        if dark:
            self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.read().decode()[:600]}") from None

    def command(self, path, **body):
        return self.call("POST", self.session + path, body)

    def devtools(self, name, **parameters):
        return self.command("/goog/cdp/execute", cmd=name, params=parameters)

    def resize(self, width, height):
        """Of what is inside the window, whatever its frame."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def open(self, path):
        self.log("browser"), self.log("performance")
        self.command("/url", url=path.resolve().as_uri())
        self.settle()

    def run(self, script, *arguments):
        return self.command("/execute/sync", script=script, args=list(arguments))

    def settle(self):
        """Two frames later, all that was asked for is drawn."""
        script = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(1)))"
        self.command("/execute/async", script=script, args=[])

    def log(self, kind):
        return self.command("/se/log", type=kind)

    def point(self, x, y, click=False):
        """Moves the mouse, and clicks there."""
        actions = [{"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}]
        if click:
            actions += [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self.command("/actions", actions=[{"type": "pointer", "id": "mouse", "actions": actions}])
        self.settle()

    def press(self, *keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.command("/actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])
        self.settle()

    def click(self, selector):
        box = self.run("const e = document.querySelector(arguments[0]); e.scrollIntoView({block: 'center'});"
                       "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]", selector)
        self.point(*box, click=True)

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? null", selector)

    def count(self, selector):
        return self.run("return document.querySelectorAll(arguments[0]).length", selector)

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.call("GET", self.session + "/screenshot")))

    def close(self):
        try:
            self.call("DELETE", self.session)
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.folder.cleanup()


class Checks:
    """What was looked at, and what of it was wrong."""

    def __init__(self):
        self.failed = 0

    def __call__(self, holds, what, seen=""):
        if not holds:
            self.failed += 1
        print(f"{'ok    ' if holds else 'FAILED'}  {what}{f': {seen}' if seen != '' else ''}", flush=True)


def clean(browser, check, name):
    """Nothing in the console, nothing asked of any network."""
    # The browser remarks that this test reads pixels back.
    errors = [entry["message"] for entry in browser.log("browser") if entry["level"] == "SEVERE" or "willReadFrequently" not in entry["message"]]
    check(not errors, f"{name}: no errors in the console", "; ".join(errors))
    asked = []
    for entry in browser.log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    foreign = [url for url in asked if not url.startswith(("file:", "data:"))]
    check(len(asked) <= 1 and not foreign, f"{name}: loads nothing but itself", "; ".join(asked[1:] + foreign))


def verdict_first(browser, check, name, verdict):
    words = browser.run("return document.body.innerText").strip()
    check(words.startswith(verdict), f"{name}: begins with the verdict", words.splitlines()[0])
    box = browser.run("const b = document.querySelector('h1').getBoundingClientRect(); return [b.top, b.bottom, innerHeight, scrollY]")
    check(box[0] >= 0 and box[1] < box[2] and box[3] == 0, f"{name}: its sentence is seen at once", box)


def colours(browser, selector):
    """How many different colours a canvas has."""
    return browser.run(
        "const c = document.querySelector(arguments[0]), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return new Set(new Uint32Array(d.buffer)).size", selector)


def stage(browser):
    browser.run("document.querySelector(innerWidth > 1000 ? '.tools' : '.stage').scrollIntoView()")
    return browser.run("const b = document.querySelector('.stage').getBoundingClientRect(); return [b.x, b.y, b.width, b.height]")


def fits(browser, check, name):
    excess = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    check(excess <= 0, f"{name}: does not scroll sideways", excess)


def large(browser, pages, shots, check):
    """A run of a minute with 20,000 events."""
    browser.open(pages / "large.html")
    verdict_first(browser, check, "large", "Held")
    browser.screenshot(shots / "large.png")
    total = browser.run("return page.items.length")
    check(total >= EVENTS_MIN, "large: has the events", total)
    check(colours(browser, "#base") > 20, "large: the diagram is not blank", colours(browser, "#base"))
    check(colours(browser, "#overview") > 3, "large: the overview is not blank")
    # Told, not tested: others may have the processor.
    frames = min((browser.run("const all = []; for (let i = 0; i < 15; i++) { page.look(0, 1e18); all.push(page.draw()); } return all.sort((a, b) => a - b)")
                  for _ in range(3)), key=lambda all: all[7])
    print(f"      large: a frame with all events in it, ms: median {frames[7]:.1f}, most {frames[-1]:.1f}")
    frame = min((browser.command("/execute/async", args=[], script="""
        const done = arguments[0], times = []; let last = performance.now(), at = 0;
        const turn = () => { const now = performance.now(); times.push(now - last); last = now;
          if (times.length > 30) return done(times.slice(5).sort((a, b) => a - b));
          page.look(at += 3e8, at + 2e10); requestAnimationFrame(turn); };
        requestAnimationFrame(turn);""") for _ in range(3)), key=lambda all: all[len(all) // 2])
    print(f"      large: from frame to frame while it moves, ms: median {frame[len(frame) // 2]:.1f}, most {frame[-1]:.1f}")

    x, y, width, height = stage(browser)
    browser.run("page.look(0, 1e18)")
    browser.point(x + width / 2, y + height / 2)
    first = browser.text("#panel")
    check(browser.count("#panel tr[data-role]") == 5, "large: the pointer shows the state of all five nodes")
    browser.point(x + width / 2, y + height / 4)
    second = browser.text("#panel")
    check(first != second and "term" in second, "large: and another one elsewhere", second.split("\n")[0])

    before = browser.run("return page.shown.all.length")
    browser.click(".toggle[data-node='3']")
    after = browser.run("return page.shown.all.length")
    check(0 < after < before, "large: without node 3 there is less", f"{before} -> {after}")
    check(f"{after:,} of {before:,}" in browser.text("#shown"), "large: and the page says so", browser.text("#shown"))
    browser.click(".toggle[data-node='3']")
    check(browser.run("return page.shown.all.length") == before, "large: and with it all again")
    browser.run("document.querySelector('#kinds').open = true")
    browser.screenshot(shots / "large-kinds.png")
    browser.click("#kinds input[data-kind='messages']")
    rest = browser.run("return [page.shown.messages.length, page.shown.all.length]")
    check(rest[0] == 0 and 0 < rest[1] < before, "large: without messages", rest)
    browser.click("#reset")
    browser.press("/")
    browser.press(*"snapshot")
    time.sleep(0.3)
    found = browser.run("return page.shown.all.length")
    check(0 < found < before, "large: search finds some", found)
    browser.click("#reset")

    browser.run("page.look(2.0e10, 2.06e10)")
    browser.press("j", "j", "j")
    check(browser.count("#detail") == 1 and browser.count(".near li.chosen") == 1, "large: keys step through the events",
          (browser.text("#detail") or "").split("\n")[0])
    stage(browser)
    browser.settle()
    browser.screenshot(shots / "large-zoomed.png")
    span = browser.run("return page.view.to - page.view.from")
    browser.press("+")
    check(browser.run("return page.view.to - page.view.from") < span, "large: + zooms in")
    browser.press("-", "-")
    check(browser.run("return page.view.to - page.view.from") > span, "large: - zooms out")
    at = browser.run("return page.view.from")
    x, y, width, height = stage(browser)
    wheel = {"type": "scroll", "x": round(x + width / 2), "y": round(y + height / 2), "deltaX": 0, "deltaY": 200, "duration": 0}
    browser.command("/actions", actions=[{"type": "wheel", "id": "wheel", "actions": [wheel]}])
    browser.settle()
    check(browser.run("return page.view.from") > at, "large: the wheel moves the diagram")
    browser.point(x + width / 2, y + height / 2)
    before = browser.run("return page.view.from")
    drag = [{"type": "pointerMove", "x": round(x + width / 2), "y": round(y + 400), "duration": 0}, {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "x": round(x + width / 2), "y": round(y + 300), "duration": 50}, {"type": "pointerUp", "button": 0}]
    browser.command("/actions", actions=[{"type": "pointer", "id": "mouse", "actions": drag}])
    browser.settle()
    check(browser.run("return page.view.from") > before, "large: dragging moves it as well")
    box = browser.run("const b = document.querySelector('#overview').getBoundingClientRect(); return [b.x, b.y, b.width, b.height]")
    browser.point(box[0] + box[2] / 2, box[1] + box[3] * 0.9, click=True)
    check(browser.run("return page.view.from / page.items.at(-1).at") > 0.7, "large: the overview jumps")

    rows = browser.count("#rows .row")
    check(0 < rows < 80, "large: of 2,000 operations only the rows in view exist", rows)
    browser.run("const t = document.querySelector('#table'); t.scrollTop = t.scrollHeight")
    browser.settle()
    last = browser.run("return Number([...document.querySelectorAll('#rows .row')].at(-1).dataset.operation)")
    check(last == 1999, "large: the table ends with the last operation", last)
    browser.run("document.querySelector('.history').scrollIntoView()")
    browser.screenshot(shots / "large-history.png")
    fits(browser, check, "large")
    clean(browser, check, "large")


def violation(browser, pages, shots, check):
    """A run that broke a promise."""
    browser.open(pages / "violation.html")
    verdict_first(browser, check, "violation", "Safety violated")
    check(browser.run("return document.title").startswith("seed 1717"), "violation: what clients wrote is not run", browser.run("return document.title"))
    browser.screenshot(shots / "violation.png")
    browser.press("\ue00c")
    check(browser.run("return page.marked.size") == 0, "violation: Esc lets go")
    browser.click(".finding")
    marks = browser.run("return [[...page.marked], [...document.querySelectorAll('#rows .marked')].map(r => Number(r.dataset.operation))]")
    check(marks == [[220, 221], [220, 221]], "violation: a finding marks its operations", marks)
    check(browser.run("return page.view.from < 12.19e9 && page.view.to > 12.481e9"), "violation: and the diagram goes there")
    check(browser.count(".finding[aria-pressed=true]") == 1, "violation: and it is the one")
    check("operation #221" in browser.text("#said"), "violation: what is chosen is said", browser.text("#said"))
    stage(browser)
    browser.settle()
    browser.screenshot(shots / "violation-diagram.png")
    known = browser.text("#past")
    check("node 2 could know" in known.lower() and "11.8" in known.split("of node 3")[0],
          "violation: node 2 has known nothing of node 1 since the partition", known.replace("\n", "; "))
    browser.press("n", "n")
    marks = browser.run("return [...page.marked]")
    check(marks == [3, 9, 17], "violation: n goes to the next findings", marks)
    browser.click("[data-fact='1']")
    check(browser.run("return [...page.marked]") == [220], "violation: a fact shows its operation")
    seen = browser.run("const c = document.querySelector('#over'); return new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size")
    check(seen > 1, "violation: what is chosen is drawn")
    browser.click("button.copy")
    browser.settle()
    said = browser.text(".copied")
    check(said in ("copied", "selected: press Ctrl+C"), "violation: the copy button copies or selects", said)
    browser.run("navigator.clipboard.writeText = () => Promise.reject(new Error('no clipboard'))")
    browser.run("document.querySelector('.copied').textContent = ''")
    browser.click("button.copy")
    time.sleep(0.1)
    chosen = browser.run("return [document.querySelector('.copied').textContent, getSelection().toString()]")
    check(chosen[0] != "" and "cargo sim replay 1717" in chosen[1], "violation: without a clipboard the line is selected", chosen)
    browser.press("?")
    check(browser.run("return document.querySelector('#help').open"), "violation: ? shows the keys")
    browser.screenshot(shots / "violation-help.png")
    browser.press("\ue00c")
    browser.run("document.querySelector('.history').scrollIntoView()")
    browser.screenshot(shots / "violation-history.png")
    sent = browser.command("/execute/async", args=[], script="""
        const done = arguments[0]; setTimeout(() => done('nobody forbade it'), 2000);
        addEventListener('securitypolicyviolation', event => done(event.effectiveDirective));
        fetch('http://127.0.0.1:9/').catch(() => {});""")
    check(sent == "connect-src", "violation: the page is forbidden to use a network", sent)


def narrow(browser, pages, shots, check):
    browser.resize(390, 844)
    for name, verdict in (("violation", "Safety violated"), ("green", "Held"), ("red", "Safety violated")):
        browser.open(pages / f"{name}.html")
        verdict_first(browser, check, f"narrow {name}", verdict)
        fits(browser, check, f"narrow {name}")
        browser.screenshot(shots / f"narrow-{name}.png")
        clean(browser, check, f"narrow {name}")
    browser.open(pages / "violation.html")
    x, y, width, height = stage(browser)
    check(width > 300 and height > 400, "narrow violation: the diagram has room", [width, height])
    browser.point(x + width / 2, y + height / 2)
    check(browser.count("#panel tr[data-role]") == 3, "narrow violation: the states are there")
    browser.screenshot(shots / "narrow-violation-diagram.png")
    browser.resize(1280, 900)


def others(browser, pages, shots, check):
    browser.open(pages / "empty.html")
    verdict_first(browser, check, "empty", "Unknown")
    browser.press("j", "n", "+", "-")
    browser.screenshot(shots / "empty.png")
    clean(browser, check, "empty")
    for name, verdict in (("green", "Held"), ("red", "Safety violated")):
        browser.open(pages / f"{name}.html")
        verdict_first(browser, check, name, verdict)
        height = browser.run("return document.documentElement.scrollHeight")
        browser.resize(1280, min(height, 4000))
        browser.settle()
        browser.screenshot(shots / f"{name}.png")
        browser.resize(1280, 900)
        fits(browser, check, name)
        check(browser.count("svg path, svg rect") > 20, f"{name}: has its charts")
        clean(browser, check, name)
    check(browser.text(".sentence") is not None and "raft.vote_restored" in browser.run("return document.body.innerText"),
          "red: names the point that was missed")


def dark(pages, shots, check):
    browser = Browser(dark=True)
    try:
        for name in ("violation", "green"):
            browser.open(pages / f"{name}.html")
            browser.screenshot(shots / f"dark-{name}.png")
            light = browser.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
            check(sum(light) < 150, f"dark {name}: is dark", light)
        browser.open(pages / "violation.html")
        stage(browser)
        browser.settle()
        browser.screenshot(shots / "dark-violation-diagram.png")
    finally:
        browser.close()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    pages, shots = map(pathlib.Path, sys.argv[1:])
    shots.mkdir(parents=True, exist_ok=True)
    check = Checks()
    browser = Browser()
    try:
        for part in (large, violation, narrow, others):
            part(browser, pages, shots, check)
    finally:
        browser.close()
    dark(pages, shots, check)
    sys.exit(f"browser test: {check.failed} checks failed" if check.failed else 0)


if __name__ == "__main__":
    main()
