"""The page: self-contained, inert to hostile rows, and complete."""

import base64
import copy
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from distill.report.html import render
from distill.report.model import empty_report
from distill.report.plots import waterfall

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "</style><b>x",
    '" onmouseover="alert(1)',
    "<a href='javascript:alert(1)'>x</a>",
    "{{ 7 * 7 }} {% for x in y %}",
    "\ud800 lone surrogate",
]


class Page(HTMLParser):
    """Collects elements, their attributes and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.words = ""
        self._script: dict[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._script = dict(attrs) if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts.append((self._script, data))
        else:
            self.words += data

    @property
    def policy(self) -> str:
        metas = [attrs for tag, attrs in self.elements if tag == "meta"]
        return next(str(m["content"]) for m in metas if m.get("http-equiv"))


def hostile_samples() -> dict[str, Any]:
    fields = {f"field {place} {text}": text for place, text in enumerate(HOSTILE)}
    return {
        "accepted": [{"id": text, "fields": fields} for text in HOSTILE],
        "rejected": [{"id": "r", "reason": text, "fields": fields} for text in HOSTILE],
        "answers": [
            {"id": "a", "input": text, "gold": text, "student": text, "teacher": None}
            for text in HOSTILE
        ],
    }


def hostile_report(report: dict[str, Any]) -> dict[str, Any]:
    report = copy.deepcopy(report)
    report["run"]["name"] = HOSTILE[0]
    report["rows"][1]["reasons"] = dict.fromkeys(HOSTILE[:-1], 10)
    report["verdict"]["because"] = HOSTILE[1]
    report["metrics"][HOSTILE[0]] = report["metrics"]["student"]
    report["cost"]["by_teacher"][HOSTILE[2]] = 1.0
    report["curves"] = {HOSTILE[0]: [{"step": 1, "loss": 2.0}]}
    return report


def test_hostile_text_is_inert(report: dict[str, Any]) -> None:
    """Rows that try to run code add no element, no handler and no script, and can still be read."""
    calm = Page(render(report, {}, ["note"]))
    page = Page(
        render(
            hostile_report(report),
            hostile_samples(),
            HOSTILE,
            recipe="\n".join(HOSTILE),
            versions={HOSTILE[0]: HOSTILE[1]},
        )
    )
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"img", "svg", "a", "iframe", "object", "embed", "form", "base", "link"}
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert len(page.scripts) == len(calm.scripts)
    assert HOSTILE[0] in page.words
    assert HOSTILE[6] in page.words


def test_nothing_is_loaded(report: dict[str, Any]) -> None:
    """No attribute and no style names an address, and the policy allows no request."""
    text = render(hostile_report(report), hostile_samples(), HOSTILE)
    page = Page(text)
    for _, attrs in page.elements:
        assert not {"src", "href", "srcset", "action", "data", "poster"} & set(attrs)
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    assert page.policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in page.policy


def test_the_policy_names_exactly_our_scripts(report: dict[str, Any]) -> None:
    """Every script that runs has its hash in the policy; data blocks are not run."""
    page = Page(render(report, {}))
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for attrs, text in page.scripts
        if attrs.get("type") != "application/json"
    ]
    assert re.findall(r"'sha256-([^']+)'", page.policy) == hashes
    assert len(hashes) == 2
    assert "unsafe" not in page.policy.split("style-src")[0]


def test_everything_is_on_the_page(report: dict[str, Any]) -> None:
    """Verdict, table, row counts, cost, training, samples, recipe and versions can be read."""
    samples = {
        "accepted": [{"id": "row1", "fields": {"text": "hello"}}],
        "rejected": [{"id": "row2", "reason": "too_short", "fields": {"text": "hi"}}],
        "answers": [
            {"id": "g1", "input": "in", "gold": "bug", "student": "bug", "teacher": "bug"},
            {"id": "g2", "input": "in", "gold": "bug", "student": None, "teacher": "bug"},
        ],
    }
    page = Page(render(report, samples, ["A note."], recipe="name: q", versions={"torch": "2"}))
    for words in (
        "More data", "A note.", "0.807", "± 0.041", "[0.927, 0.967]", "near duplicate", "1,179",
        "1.83", "96,120", "51,234", "row1", "too short", "the student got wrong",
        "the student got right", "(no answer)", "name: q", "torch",
    ):  # fmt: skip
        assert words in page.words
    plots = {attrs["data-plot"] for attrs, _ in page.scripts if "data-plot" in attrs}
    assert plots == {
        "plot-rows", "plot-loss", "plot-metric-accuracy", "plot-metric-macro_f1", "plot-curve",
        "plot-cascade",
    }  # fmt: skip


def test_an_object_is_right_however_it_is_written(report: dict[str, Any]) -> None:
    """The text of an object is compared as the object."""
    answers = [
        {"id": "g1", "input": "in", "gold": {"n": 1, "s": "x"}, "student": '{"s":"x", "n":1}'},
        {"id": "g2", "input": "in", "gold": {"n": 1}, "student": "not JSON"},
    ]
    words = Page(render(report, {"answers": answers})).words
    assert (
        words.index("got wrong") < words.index("g2") < words.index("got right") < words.index("g1")
    )


def test_an_empty_run_has_a_page() -> None:
    """Nothing has run: a small page without plots or scripts."""
    text = render(empty_report("early", "abc"), {}, [])
    assert "early" in text
    assert "<script" not in text
    assert len(text) < 20_000


@pytest.mark.parametrize("missing", ["cost", "metrics", "training", "verdict", "curves"])
def test_a_part_that_did_not_run_is_left_out(report: dict[str, Any], missing: str) -> None:
    """Each part may be null on its own."""
    assert render({**report, missing: None}, {}, [])


def test_rows_fall_in_the_order_of_the_filters(report):
    """The waterfall and its table go as the filters went, not by size."""
    stage = report["rows"][1]
    stage["reasons"] = {"agree:unclear": 96, "length:too_short": 31, "surplus": 252}
    stage["filters"] = [
        {"filter": "length", "in": 1179, "dropped": 31, "restored": 4, "reasons": {}},
        {"filter": "agree", "in": 1148, "dropped": 96, "restored": 0, "reasons": {}},
    ]
    bars = json.loads(waterfall(report["rows"]))["data"][0]["y"]
    places = [next(at for at, bar in enumerate(bars) if word in bar)
              for word in ("length", "agree", "surplus")]  # fmt: skip
    assert places == sorted(places)
    page = render(report, {})
    table = page[page.index("Filter by filter") :]
    assert table.index(">1,148<") < table.index(">96<") < table.index(">1,052<")
