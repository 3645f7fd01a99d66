"""The page in a real browser: by keyboard, by several people, with rows that would like to run."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from distill.review.formats.html_pack import write
from distill.review.log import read_log

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
HOSTILE = [
    "<script>window.pwned = 1</script>",
    "</script><script>window.pwned = 2</script>",
    "<img src=x onerror='window.pwned = 3'>",
    "<svg onload=window.pwned=4>",
    "{{script}} {{data}} ${window.pwned = 5}",
    "\x1b[31mred\x1b[0m \u2028 \u202e",
    "=HYPERLINK(\"javascript:window.pwned=6\")",
    "<!-- <a href=javascript:window.pwned=7>",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install it")
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


def tickets(count):
    return [
        {"id": f"r{at:02}", "text": f"ticket {at}", "label": ["billing", "bug"][at % 2]}
        for at in range(count)
    ]


class Served:
    """The real command, serving a file."""

    def __init__(self, path, rows):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        command = [sys.executable, "-m", "distill", "review", "serve", str(path), "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = json.loads(self.process.stdout.readline())["url"]
        self.folder = path.with_name(f"{path.name}.review")

    def stop(self):
        self.process.kill()
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture
def served(tmp_path):
    """A function that serves rows until the test ends."""
    started = []

    def start(rows):
        started.append(Served(tmp_path / "data.jsonl", rows))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def opened(browser, url, reviewer, **options):
    """The page in a context of its own, with a list of what went wrong on it."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(15_000)
    page.wrong = []
    page.on("console", lambda said: page.wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("dialog", lambda dialog: (page.wrong.append(dialog.message), dialog.dismiss()))
    page.goto(url)
    page.wait_for_selector("#row .field")
    page.fill("#reviewer", reviewer)
    page.locator("#reviewer").blur()
    page.locator("#count", has_text=" of ").wait_for()
    return page


def press(page, *keys):
    """Presses keys, one after the other, each saved before the next."""
    for key in keys:
        page.keyboard.press(key)


def saved(page, count):
    page.locator("#count", has_text=re.compile(f"^{count} of")).wait_for()
    page.locator("#saved", has_not_text="saving").wait_for(state="attached")


def test_ten_decisions_by_keyboard(browser, served):
    """Accept, choose, reject with a tag, skip, edit, comment, undo; a reload finds all of it."""
    at = served(tickets(12))
    page = opened(browser, at.url, "ann")
    press(page, "a", "2", "1", "s", "r")  # r01 is a bug already: 1 makes it billing
    saved(page, 5)
    press(page, "t")
    page.keyboard.type("off topic")
    press(page, "Enter", "c")
    page.keyboard.type("two words")
    press(page, "Escape", "r")
    saved(page, 6)
    press(page, "a", "a", "a", "r")
    saved(page, 10)
    press(page, "u")
    saved(page, 9)
    page.reload()
    saved(page, 9)
    said = {review.row_id: review for review in read_log(at.folder)}
    assert said["r00"].decision == "accept"
    assert said["r01"].decision == "accept"
    assert (said["r02"].decision, said["r03"].decision) == ("accept", "skip")
    assert said["r05"].tags == ("off topic",)
    assert said["r05"].comment == "two words"
    assert said["r09"].decision is None
    assert said["r00"].seconds is not None
    assert page.wrong == []


def test_an_edit_with_its_difference(browser, served):
    """The word diff stands below the text being edited, and the log has the new text."""
    rows = [{"id": "r", "text": "q", "output": "the quick brown fox"}, {"id": "s", "text": "q",
            "output": "x"}]  # fmt: skip
    at = served(rows)
    page = opened(browser, at.url, "ann")
    press(page, "e")
    page.locator("textarea[aria-label=output]").fill("the slow brown fox <b>")
    assert page.locator(".diff del").all_inner_texts() == ["quick"]
    assert page.locator(".diff ins").all_inner_texts() == ["slow", " <b>"]
    press(page, "Control+Enter")
    saved(page, 1)
    [review] = read_log(at.folder)
    assert (review.decision, review.edits) == ("edit", {"output": "the slow brown fox <b>"})
    assert page.wrong == []


def test_nothing_can_be_decided_before_the_reviewer_s_own_decisions_are_here(browser, served):
    """A slow server: no row stands on the page after a change of name, and keys do nothing."""
    at = served(tickets(3))
    page = opened(browser, at.url, "ann")
    press(page, "a")
    saved(page, 1)
    held = []
    page.route("**/state?*", lambda route: held.append(route))
    page.fill("#reviewer", "bob")
    page.locator("#reviewer").blur()
    page.wait_for_function("document.querySelector('#row').childElementCount === 0")
    press(page, "a", "e")
    assert page.locator("#count").inner_text() == ""
    assert page.locator("#accept").is_disabled()
    held[0].continue_()
    page.locator("#count", has_text="0 of 3").wait_for()
    press(page, "a")
    saved(page, 1)
    assert [review.reviewer for review in read_log(at.folder)] == ["ann", "bob"]
    assert page.wrong == []


def test_two_reviewers_at_once(browser, served):
    """Each sees an own progress and nothing of the other's; both are in the log."""
    at = served(tickets(4))
    ann, bob = (opened(browser, at.url, name) for name in ("ann", "bob"))
    press(ann, "a", "a")
    press(bob, "r")
    saved(ann, 2)
    saved(bob, 1)
    press(bob, "a")
    saved(bob, 2)
    said = {(r.reviewer, r.row_id): r.decision for r in read_log(at.folder)}
    assert said == {("ann", "r00"): "accept", ("ann", "r01"): "accept",
                    ("bob", "r00"): "reject", ("bob", "r01"): "accept"}  # fmt: skip
    assert ann.wrong == bob.wrong == []


def test_filters_and_search(browser, served):
    """What is shown can be narrowed to what is left, and to what holds a word."""
    page = opened(browser, served(tickets(12)).url, "ann")
    press(page, "a", "/")
    page.keyboard.type("TICKET 1")
    assert page.inner_text("#place") == "1 / 3"
    press(page, "Escape")
    page.fill("#search", "")
    page.select_option("#filter", "open")
    assert page.inner_text("#place") == "1 / 11"
    page.locator("#search").blur()
    press(page, "?")
    assert page.locator("#keys").is_visible()
    press(page, "Escape")
    assert page.locator("#keys").is_hidden()


@pytest.mark.parametrize("how", ["served", "offline"])
def test_rows_cannot_run(browser, served, desk, how):
    """Scripts, handlers and their like in fields, names, labels and tags are text on the page."""
    rows = [{"id": f"r{at}", "text": text, "<b>name</b>": text, "label": text[:50]}
            for at, text in enumerate(HOSTILE)]  # fmt: skip
    if how == "served":
        url = served(rows).url
    else:
        at = desk(rows, rubric=HOSTILE[1])
        write(at.pack(), at.path.parent / "pack.html")
        url = (at.path.parent / "pack.html").as_uri()
    page = opened(browser, url, HOSTILE[0])
    for text in HOSTILE:
        assert page.locator("[data-field=text] .text").text_content() == text
        press(page, "e")
        press(page, "Escape")
        press(page, "j")
    assert page.evaluate("() => window.pwned") is None
    assert page.wrong == []


def test_the_offline_pack(browser, desk, tmp_path):
    """From disk: decisions survive a reload, the download is imported and applies every row."""
    at = desk()
    pack = at.pack()
    write(pack, tmp_path / "pack.html")
    page = opened(browser, (tmp_path / "pack.html").as_uri(), "ann", accept_downloads=True)
    press(page, "a", "r", "s", "3", "u", "3")
    saved(page, 4)
    page.reload()
    saved(page, 4)
    with page.expect_download() as download:
        page.click("#download")
    download.value.save_as(tmp_path / "back.jsonl")
    plan = at.take(tmp_path / "back.jsonl")
    assert plan.rows["applied"] == ["r0", "r1", "r2", "r3"]
    assert plan.altered_cells == 0
    assert [review.decision for review in plan.reviews] == ["accept", "reject", "skip", "accept"]
    assert {review.reviewer for review in plan.reviews} == {"ann"}
    assert page.wrong == []
