"""page_browser.py <run | study | keyboard> <specmoe> <small_study>: the page in a headless Chromium.

Exit status 77: no Chromium or no driver here."""
import json
import math
import os
import subprocess
import sys
import tempfile

from browser import CHROMIUM, DRIVER, Browser

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
  - name: oracle
    prefetch: {predictor: oracle, window: 2}
"""
FIGURE = "const figure = specmoePage.figures.find(({id}) => id === arguments[0]);"


def equal(found, expected, what):
    if found != expected:
        sys.exit(f"{what}: {found}; expected {expected}")


def holds(true, what):
    if not true:
        sys.exit(f"does not hold: {what}")


def near(found, expected, what):
    holds(len(found) == len(expected) and all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(found, expected)),
          f"{what}: {found} are {expected}")


def series(browser, figure, label=None, axis="y"):
    """A coordinate of the points of a figure's series; of its first without a label."""
    return browser.js(FIGURE + "const sets = figure.chart.data.datasets;"
                      "return (arguments[1] === null ? sets[0] : sets.find(({label}) => label === arguments[1])).data.map((point) => point[arguments[2]])",
                      figure, label, axis)


def choose(browser, figure, name, value):
    browser.js("const select = document.querySelector(`#${arguments[0]} select[name=${arguments[1]}]`);"
               "select.value = arguments[2]; select.dispatchEvent(new Event('change'))", figure, name, value)


def shown_range(browser, figure, axis):
    return browser.js(FIGURE + "const {min, max} = figure.chart.scales[arguments[1]]; return [min, max]", figure, axis)


def sound(browser):
    """No message on the console, nothing asked of a network, every chart drawn with points."""
    equal(browser.messages(), [], "messages on the console")
    equal(browser.js("return performance.getEntriesByType('resource').map(({name}) => name)"), [], "requests")
    equal(browser.js("return specmoePage.figures.filter(({chart}) => !chart?.data.datasets.some(({data}) => data.length)).map(({id}) => id)"),
          [], "empty figures")


def simulate(specmoe):
    with open("small.yaml", "w") as file:
        file.write(SCENARIO)
    out = subprocess.run([specmoe, "run", "small.yaml", "--out", "out", "--format", "json"], check=True, capture_output=True)
    return json.loads(out.stdout)["runs"]


def test_run(browser, specmoe, _):
    runs = simulate(specmoe)
    browser.open("out/report.html")
    sound(browser)
    equal(browser.js("return document.title"), "small: SpecMoE report", "title")
    equal(series(browser, "strategy-bars", axis="y"), ["on-demand", "oracle"], "strategies")
    for metric in ("tokens_per_second", "tpot", "ttft", "hit_rate", "peak_gpu_memory"):
        choose(browser, "strategy-bars", "metric", metric)
        equal(series(browser, "strategy-bars", axis="x"), [run[metric] for run in runs], metric)
    parts = [browser.js(FIGURE + "return figure.chart.data.datasets.map(({data}) => data[arguments[1]].x)", "step-parts", i) for i in (0, 1)]
    for run, part in zip(runs, parts):
        near(part, [run["critical_path"], run["expert_wait"], max(0, run["exposed_stall"] - run["expert_wait"])], "parts of the step")
    for run in runs:
        percentiles = series(browser, "tails-percentiles", run["strategy"])
        near([percentiles[0], percentiles[3]], [run["tpot_p50"], run["tpot_p99"]], "percentiles")
        equal(series(browser, "tails-distribution", run["strategy"])[-1], 1, "end of the distribution")
    words = browser.js("return document.querySelector('#overview .answer').textContent")
    gain = runs[1]["tokens_per_second"] / runs[0]["tokens_per_second"]
    holds(words.startswith(f"oracle decodes fastest: {runs[1]['tokens_per_second']:.3g} tokens/s, {gain:.3g}x as fast as on-demand"), words)
    holds("no interval" in words, words)
    absent = browser.js("return [...document.querySelectorAll('#absent li')].map((line) => line.textContent.split(':')[0])")
    equal(absent, ["Latency and throughput against batch", "Hit rate against capacity", "Scaling", "Sensitivity", "Deduplication"], "absent")

    # The timeline: as many bars as the step has spans, and within it.
    count = "return [figure.chart.data.datasets.reduce((sum, {data}) => sum + data.length, 0), figure.table.rows.length]"
    first = browser.js(FIGURE + count, "timeline-step")
    holds(first[0] == first[1] > 100, f"bars and spans {first}")
    rows = browser.js(FIGURE + "return figure.chart.options.scales.y.labels", "timeline-step")
    holds({"gpu compute", "gpu expert copies", "pcie: dram -> vram"} <= set(rows), rows)
    choose(browser, "timeline-step", "step", "0")
    holds(browser.js(FIGURE + count, "timeline-step") != first, "the prefill step has other spans")


def test_study(browser, specmoe, small_study):
    for name, design in (("grid.h5", "grid"), ("one.h5", "one-at-a-time")):
        subprocess.run([small_study, name, design], check=True)
    subprocess.run([specmoe, "report", "grid.h5", "one.h5", "--out", "page.html"], check=True, stdout=subprocess.DEVNULL)
    browser.open("page.html")
    sound(browser)
    # Batches 1 and 4 at 25 %: points 0 and 1, means 10.5 and 20.5, intervals -+ 1; see small_study.hpp.
    equal(series(browser, "batch-tokens_per_second", "base", "x"), [1, 4], "batches")
    equal(series(browser, "batch-tokens_per_second", "base"), [10.5, 20.5], "throughput")
    equal(series(browser, "batch-tokens_per_second", "base", "yLow"), [9.5, 19.5], "its low ends")
    choose(browser, "batch-tokens_per_second", "at", "capacity 50 %")
    equal(series(browser, "batch-tokens_per_second", "fast <b>"), [60.5, 80], "throughput at 50 %")
    equal(series(browser, "capacity-hit_rate", "base", "x"), [0.25, 0.5], "capacities")
    equal(series(browser, "capacity-hit_rate", "base", "yHigh"), [1, 1], "high ends of hit rates")
    equal(series(browser, "deduplication-deduplicated", "base"), [0.5, 0.5], "deduplication")
    near(series(browser, "scaling-throughput", "base"), [1, 20.5 / 10.5], "scaling")
    equal(series(browser, "scaling-throughput", "in proportion"), [1, 4], "in proportion")
    # "fast" is always faster at the same bytes, and more bytes are faster: its four points are the front.
    equal(series(browser, "pareto-front", "front", "x"), [10e9, 11e9, 12e9, 13e9], "front")
    equal(series(browser, "pareto-front", "front"), [20.5, 40.5, 60.5, 80], "front")
    near(sum(series(browser, "sensitivity-tornado", "changed down", "x"), []), [0, 20.5 / 10.5 - 1], "half")
    near(sum(series(browser, "sensitivity-tornado", "changed up", "x"), []), [0, 30.5 / 10.5 - 1], "twice")
    equal(browser.js(FIGURE + "return figure.chart.data.datasets.map(({data}) => Math.round(data[0].x * 1e6))", "step-parts"),
          [10000, 20000, 5000], "parts of the step, us")
    choose(browser, "strategy-bars", "metric", "gain")
    equal(series(browser, "strategy-bars", axis="xLow"), [0.5, 1.5], "low ends of gains")
    words = browser.js("return document.querySelector('#overview .answer').textContent")
    holds(words.startswith("fast <b> decodes fastest at 4 of 4 points. Over base its median is 2x"), words)
    holds("the 95 % interval excludes 1 at 4 of 4 points" in words, words)
    holds("The most is 80 [79, 81] tokens/s at 4, 50 %" in words, words)
    holds("does not fit" in browser.js("return document.getElementById('overview').textContent"), "a refusal is told")

    # The filter reaches every chart, and back.
    box = '#filters fieldset[data-dimension=strategy] input[value="base"]'
    browser.js("document.getElementById('filters').open = true")
    browser.click(box)
    equal(browser.js("return specmoePage.figures.filter(({chart}) => chart?.data.datasets.some(({label}) => label === 'base')).map(({id}) => id)"),
          [], "figures with what is hidden")
    equal(browser.js("return document.querySelector('#filters summary').textContent"), "Filter (1 hidden)", "filter")
    browser.click(box)
    equal(series(browser, "batch-tpot", "base", "x"), [1, 4], "batches again")

    # Numbers and CSV.
    browser.js("document.querySelector('#batch-tokens_per_second details').open = true")
    browser.js("return new Promise((done) => setTimeout(done, 50))")
    equal(browser.js("return document.querySelectorAll('#batch-tokens_per_second tbody tr').length"), 4, "rows of numbers")
    csv = browser.js(FIGURE + "return asCsv(figure.table)", "batch-tokens_per_second").splitlines()
    equal(csv[0], "Strategy,Batch,Decoded tokens a second (tokens/s),low end (tokens/s),high end (tokens/s)", "head of the CSV")
    equal(csv[4], "fast <b>,4,80,79,81", "a row of the CSV")


def test_keyboard(browser, specmoe, _):
    simulate(specmoe)
    browser.open("out/report.html")
    browser.press("Tab")
    equal(browser.js("return document.activeElement.className"), "skip", "what Tab reaches first")

    said = "return document.getElementById('live').textContent"
    whole = shown_range(browser, "strategy-bars", "x")
    browser.js("document.querySelector('#strategy-bars canvas').focus()")
    browser.press("Right")
    holds(browser.js(said).find("on-demand") >= 0, "the first point is said")
    browser.press("Right")
    holds(browser.js(said).find("oracle, Decoded tokens a second: ") >= 0, browser.js(said))
    equal(browser.js(FIGURE + "return figure.chart.tooltip.opacity", "strategy-bars"), 1, "tooltip")
    browser.press("+")
    low, high = shown_range(browser, "strategy-bars", "x")
    holds(high - low < 0.7 * (whole[1] - whole[0]), f"+ narrows {whole} to {[low, high]}")
    browser.press("Escape")
    equal(shown_range(browser, "strategy-bars", "x"), whole, "range after Escape")

    # Dragging and the button; hovering; the legend.
    canvas = "#tails-percentiles canvas"
    whole = shown_range(browser, "tails-percentiles", "y")
    browser.js("document.getElementById('tails').scrollIntoView()")
    browser.point(canvas, (-40, -60), (60, 20))
    low, high = shown_range(browser, "tails-percentiles", "y")
    holds(whole[0] < low < high < whole[1], f"dragging narrows {whole} to {[low, high]}")
    browser.click("#tails-percentiles .reset")
    equal(shown_range(browser, "tails-percentiles", "y"), whole, "range after the button")
    browser.point(canvas, (0, 0))
    browser.js("return new Promise((done) => setTimeout(done, 100))")
    text = browser.js(FIGURE + "return figure.chart.tooltip.body.flatMap(({lines}) => lines)", "tails-percentiles")
    holds(len(text) >= 2 and "ms" in text[1], text)
    browser.click("#tails-percentiles .legend button")
    equal(browser.js(FIGURE + "return [figure.chart.isDatasetVisible(0), figure.chart.isDatasetVisible(1)]", "tails-percentiles"), [False, True], "visible")

    # Colours: by the button, by the system, and on paper.
    ground = "return getComputedStyle(document.body).backgroundColor"
    ticks = FIGURE + "return figure.chart.options.scales.x.ticks.color"
    equal(browser.js(ground), "rgb(255, 255, 255)", "light ground")
    ink = browser.js(ticks, "strategy-bars")
    browser.click("#theme")
    dark = browser.js(ground)
    holds(dark != "rgb(255, 255, 255)" and browser.js(ticks, "strategy-bars") != ink, "the button darkens ground and axes")
    browser.click("#theme")
    equal(browser.js(ticks, "strategy-bars"), ink, "ink after two clicks")
    browser.open("out/report.html")
    browser.emulate(theme="dark")
    equal(browser.js(ground), dark, "ground of a dark system")
    browser.emulate(medium="print")
    equal(browser.js("return getComputedStyle(document.querySelector('.tools')).display"), "none", "controls on paper")
    equal(browser.messages(), [], "messages on the console")
    with Browser(360, 740) as phone:
        phone.open("out/report.html")
        equal(phone.js("return document.documentElement.scrollWidth"), 360, "width on a phone")


if __name__ == "__main__":
    part, *binaries = sys.argv[1:]
    if not CHROMIUM or not DRIVER:
        print("SKIPPED: no Chromium with chromedriver here")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with Browser() as browser:
            globals()[f"test_{part}"](browser, *binaries)
