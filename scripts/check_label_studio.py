"""Takes a pack through a running Label Studio and back; started by check_label_studio.sh."""

import argparse
import json
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from distill.review.log import read_log
from distill.run.review.place import find_place
from distill.run.review.work import export, import_file

ROWS = [
    {"id": "plain", "text": "I was charged twice.", "label": "billing"},
    {"id": "formula", "text": '=HYPERLINK("http://x","y")', "label": "bug"},
    {"id": "script", "text": "</script><img src=x onerror=alert(1)> & <b>", "label": "bug"},
    {"id": "lines", "text": "one\ntwo\r\n\tthree  ", "label": "other"},
    {"id": "far", "text": "\U0001f600 \u05e9\u05dc\u05d5\u05dd \u202eback", "label": "other"},
    {"id": "empty", "text": "", "label": "billing"},
]
SAID = {
    "plain": ("accept", {}, [], ""),
    "formula": ("edit", {"label": "other", "text": "=1+1 'quoted'"}, ["wrong_answer"], ""),
    "script": ("edit", {"text": "<script>alert(2)</script>\nnext line"}, [], "see & tell"),
    "lines": ("reject", {}, ["unsafe", "other"], "no good \U0001f600"),
    "far": ("skip", {}, [], ""),
}
"""What is annotated; `empty` is cancelled, which is how Label Studio skips."""


class Api:
    """The server's JSON interface."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """Sends one request and returns the JSON of the answer."""
        request = urllib.request.Request(
            self._url + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Token {self._token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read()[:2000]!r}") from error

    def wait(self, server: int, seconds: float) -> None:
        """Waits until the server answers."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            os.kill(server, 0)  # raises when it has died
            try:
                with urllib.request.urlopen(f"{self._url}/health", timeout=5):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(1)
        raise SystemExit("the server did not come up")


def annotate(api: Api, task: dict[str, Any]) -> None:
    """Annotates a task as its page would, after a first try that is thrown away."""
    id = task["data"]["row_id"]
    path = f"/api/tasks/{task['id']}/annotations/"
    if id not in SAID:
        api("POST", path, {"result": [], "was_cancelled": True})
        return
    decision, edits, tags, comment = SAID[id]

    def item(name: str, kind: str, values: list[str]) -> dict[str, Any]:
        value = {"choices" if kind == "choices" else "text": values}
        return {"from_name": name, "to_name": "row", "type": kind, "value": value}

    result = [item("decision", "choices", [decision])]
    for name, value in edits.items():
        kind = "choices" if name == "label" else "textarea"
        result.append(item(f"new_{name}", kind, [value]))
    result += [item("tags", "choices", tags)] if tags else []
    result += [item("comment", "textarea", [comment])] if comment else []
    made = api("POST", path, {"result": [item("decision", "choices", ["skip"])], "lead_time": 3.5})
    api("PATCH", f"/api/annotations/{made['id']}/", {"result": result, "lead_time": 7.25})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--server", type=int, required=True)
    parser.add_argument("--keep", type=Path, required=True)
    given = parser.parse_args()
    api = Api(given.url, given.token)
    api.wait(given.server, 1800)
    folder = Path(tempfile.mkdtemp())
    try:
        source = folder / "rows.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        place = find_place(str(source), outputs=["label", "text"])
        export(place, folder / "tasks.json", "label-studio")
        config = (folder / "tasks.config.xml").read_text("utf-8")
        project = api("POST", "/api/projects", {"title": "check", "label_config": config})["id"]
        tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
        sent = api("POST", f"/api/projects/{project}/import?return_task_ids=true", tasks)
        assert sent["task_count"] == len(ROWS), sent
        listed = api("GET", f"/api/tasks?project={project}&page_size=100&fields=all")["tasks"]
        assert sum(len(task["predictions"]) for task in listed) == len(ROWS)
        for task in listed:
            annotate(api, task)
        exported = api(
            "GET", f"/api/projects/{project}/export?exportType=JSON&download_all_tasks=true"
        )
        given.keep.write_text(json.dumps(exported, ensure_ascii=False, indent=1) + "\n")
        check(place, given.keep)
        minimal = folder / "minimal.json"
        minimal.write_text(
            json.dumps(api("GET", f"/api/projects/{project}/export?exportType=JSON_MIN"))
        )
        shutil.rmtree(place.source.folder / "log.jsonl", ignore_errors=True)
        (place.source.folder / "log.jsonl").unlink()
        check(place, minimal, cancelled=False)
    finally:
        shutil.rmtree(folder)
    print("Label Studio: every decision came back")


def check(place: Any, path: Path, *, cancelled: bool = True) -> None:
    """Imports an export and compares every decision with what was annotated."""
    plan = import_file(place, path, reviewer=None, dry_run=False)
    wanted = dict(SAID) | ({"empty": ("skip", {}, [], "")} if cancelled else {})
    counts = plan.as_dict(dry_run=False)["counts"]
    assert plan.clean, plan.problems
    assert counts["applied"] == len(wanted), (counts, plan.problems)
    for review in read_log(place.source.folder):
        found = (review.decision, dict(review.edits), sorted(review.tags), review.comment)
        decision, edits, tags, comment = wanted[review.row_id]
        assert found == (decision, edits, sorted(tags), comment), (review.row_id, found)
        assert review.at
        assert review.reviewer
    again = import_file(place, path, reviewer=None, dry_run=True)
    assert len(again.rows["unchanged"]) == len(wanted)


if __name__ == "__main__":
    main()
