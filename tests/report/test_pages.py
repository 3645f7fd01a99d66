"""Both pages in a real browser: no console error, no request that leaves the page."""

import shutil
from pathlib import Path

import pytest

from distill.inspect.inspect import Options, inspect_rows
from distill.inspect.sources import Item
from distill.report.html import render
from distill.report.inspect_page import render_inspection

HOSTILE = "<script>alert(1)</script><img src=http://a.example/x onerror=alert(2)> </textarea>"


@pytest.fixture(scope="module")  # no longer: an open browser holds this process's event loop
def browser():
    """Chromium without a window; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is absent: apt-get install chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def inspection(tmp_path_factory):
    """The page of a dataset with every part, and text that would run if it could."""
    rows = [
        {"text": f"ticket {n} about the {'bill' if n % 2 else 'bug'} of day {n * 7} {HOSTILE}",
         "label": ["bug", "billing"][n % 2], "site": "ab"[n % 2],
         "rater1": "x", "rater2": "xy"[n % 2]}
        for n in range(40)
    ]  # fmt: skip
    items = [Item(f"r{n}", "train" if n < 30 else "val", row) for n, row in enumerate(rows)]
    items.append(Item("copy", "val", {**rows[0], "label": "billing"}))
    report = inspect_rows(items, Options(), gold=items[:2], reference=items[:20])
    page = render_inspection(
        {"dataset": "tickets.jsonl", "gates": [], **report},
        {item.id: item.fields for item in items},
    )
    path = tmp_path_factory.mktemp("pages") / "inspect.html"
    path.write_text(page)
    return path


@pytest.fixture
def run_report(report, tmp_path):
    """The page of a run, with hostile text among its rows."""
    samples = {"accepted": [{"id": "a", "fields": {"text": HOSTILE}}]}
    path = tmp_path / "report.html"
    path.write_text(render(report, samples))
    return path


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_inspect_page_is_quiet(browser, inspection, width, scheme):
    """Plots are drawn, nothing is logged, asked or run, and nothing sticks out at the side."""
    quiet(browser, inspection, width, scheme)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_run_report_is_quiet(browser, run_report, width, scheme):
    """The same holds for the report of a run."""
    quiet(browser, run_report, width, scheme)


def quiet(browser, path: Path, width: int, scheme: str) -> None:
    """Loads a page from disk and asserts that it only draws."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri(), timeout=60_000)
    places = page.locator("script[data-plot]").count()
    assert places > 0
    page.wait_for_function(
        "n => document.querySelectorAll('.js-plotly-plot .main-svg').length >= n",
        arg=places, timeout=60_000,
    )  # fmt: skip
    wider = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    context.close()
    assert said == []
    assert asked == [path.as_uri()]
    assert wider <= 0
