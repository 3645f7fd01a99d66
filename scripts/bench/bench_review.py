"""How long 100,000 rows take to export and import in each format, and how quick the page is.

Wall and processor seconds: on a busy machine the first says more of the machine.

The rows are support tickets of about 300 characters with a label, made here from a seed. Usage:
bench_review.py [--rows N] [--formats csv,jsonl,...]
"""

import argparse
import csv
import io
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from record import MEGABYTE, Bar, write_result

from distill.review.log import read_log
from distill.review.merge import merge
from distill.run.review.place import find_place
from distill.run.review.work import export, import_file

WORDS = ("invoice", "refund", "charge", "card", "crash", "freeze", "login", "order", "late")
LABELS = ("billing", "bug", "other")
PAGE_ROWS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--formats", default="csv,jsonl,label-studio,argilla,xlsx")
    parser.add_argument("--long", action="store_true")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    figures: dict[str, dict[str, float]] = {}
    try:
        source = folder / "rows.jsonl"
        write_rows(source, given.rows)
        for format in given.formats.split(","):
            # To import again and to merge cost the same whatever the format was.
            more = not figures
            figures[format] = one_format(source, folder / "out", format, more=more)
            print(format, figures[format], flush=True)
        figures["page"] = page(folder)
    finally:
        shutil.rmtree(folder)
    bars = [
        Bar(f"{what} {given.rows:,} rows, {format}, seconds", found[what], at_most=60)
        for format, found in figures.items()
        if format != "page"
        for what in ("export", "import", "again", "merge")
        if what in found
    ]
    if "decide" in figures["page"]:
        bars.append(
            Bar(
                f"page of {PAGE_ROWS:,} rows, a decision, ms",
                figures["page"]["decide"],
                at_most=100,
            )
        )
    settings = {"rows": given.rows, "page_rows": PAGE_ROWS}
    write_result("review", __doc__.splitlines()[0], settings=settings, figures=figures, bars=bars)


def write_rows(path: Path, rows: int) -> None:
    draw = random.Random(1)
    with path.open("w", encoding="utf-8") as file:
        for at in range(rows):
            text = " ".join(draw.choices(WORDS, k=50))
            file.write(json.dumps({"id": f"r{at}", "text": text, "label": LABELS[at % 3]}) + "\n")


def one_format(source: Path, out: Path, format: str, *, more: bool) -> dict[str, float]:
    """Seconds for export and import, the log empty; with `more` to import again and to merge."""
    found: dict[str, float] = {}
    shutil.rmtree(source.with_name(f"{source.name}.review"), ignore_errors=True)
    place = find_place(str(source))
    timed(found, "export", lambda: export(place, out, format))
    found["megabytes"] = out.stat().st_size / MEGABYTE
    fill(out, format)
    take = partial(import_file, place, out, reviewer="a", dry_run=False)
    plan = timed(found, "import", take)
    assert len(plan.rows["applied"]) == len(place.source.rows), plan.problems[:3]
    if more:
        again = timed(found, "again", take)
        assert len(again.rows["unchanged"]) == len(place.source.rows)
        log = read_log(place.source.folder)
        timed(found, "merge", lambda: merge(place.source, log, "consensus"))
    return found


def timed(found: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    """What the work gives; its wall and processor seconds are put into `found`."""
    started, busy = time.perf_counter(), time.process_time()
    made = work()
    found[name] = time.perf_counter() - started
    found[f"{name}_processor"] = time.process_time() - busy
    return made


def fill(path: Path, format: str) -> None:
    """Decides every row, as a program would."""
    if format == "csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [{**row, "decision": "accept"} for row in reader]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, reader.fieldnames or [])
            writer.writeheader()
            writer.writerows(rows)
    elif format == "jsonl":
        text = path.read_text("utf-8")
        path.write_text(text.replace('"decision": null', '"decision": "accept"'), "utf-8")
    elif format == "xlsx":
        fill_workbook(path)
    else:
        records = json.loads(path.read_text("utf-8"))
        for record in records:
            if format == "argilla":
                record["responses"] = {"decision": [{"value": "accept", "user_id": "a"}]}
            else:
                item = {"from_name": "decision", "value": {"choices": ["accept"]}}
                record["annotations"] = [{"result": [item], "completed_by": 1}]
        path.write_text(json.dumps(records), "utf-8")


def fill_workbook(path: Path) -> None:
    from python_calamine import CalamineWorkbook
    from xlsxwriter import Workbook

    book = CalamineWorkbook.from_filelike(io.BytesIO(path.read_bytes()))
    rows = book.get_sheet_by_name("review").to_python(skip_empty_area=False)
    at = rows[0].index("decision")
    with Workbook(path, {"constant_memory": True}) as new:
        sheet = new.add_worksheet("review")
        for line, row in enumerate(rows):
            if line:
                row[at] = "accept"
            for column, text in enumerate(row):
                if text:
                    sheet.write_string(line, column, str(text))


def page(folder: Path) -> dict[str, float]:
    """Milliseconds to open the offline page of 20,000 rows and per decision, search and filter."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {}
    if browser is None:
        return {}
    source = folder / "page.jsonl"
    write_rows(source, PAGE_ROWS)
    export(find_place(str(source)), folder / "page.html", "html")
    found = {}
    with sync_playwright() as running:
        launched = running.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        tab = launched.new_page()
        started = time.perf_counter()
        tab.goto((folder / "page.html").as_uri())
        tab.wait_for_selector("#row .field")
        found["open"] = 1000 * (time.perf_counter() - started)
        started = time.perf_counter()
        for _ in range(20):
            tab.keyboard.press("a")
        tab.locator("#count", has_text="20 of").wait_for()
        found["decide"] = 1000 * (time.perf_counter() - started) / 20
        started = time.perf_counter()
        tab.fill("#search", "refund refund refund")
        tab.locator("#place").inner_text()
        found["search"] = 1000 * (time.perf_counter() - started)
        launched.close()
    return found


if __name__ == "__main__":
    main()
