"""The served page keeps every decision, and answers nothing to those it is not for."""

import http.client
import json
import signal
import subprocess
import sys

import pytest

from distill.review.log import read_log

HEADERS = {"Content-Type": "application/json"}


class Page:
    """The real command, serving."""

    def __init__(self, path, *arguments):
        command = [sys.executable, "-m", "distill", "review", "serve", str(path), "--json"]
        self.process = subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, text=True, cwd=path.parent
        )
        told = json.loads(self.process.stdout.readline())
        self.url, self.port, self.pack_id = told["url"], told["port"], told["pack_id"]
        self.token = self.url.rstrip("/").rsplit("/", 1)[1]

    def ask(self, path, body=None, method=None, **headers):
        """Status, body and headers of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body)
        connection.request(method or ("POST" if body is not None else "GET"), path, data, headers)
        answer = connection.getresponse()
        found = (answer.status, answer.read(), dict(answer.getheaders()))
        connection.close()
        return found

    def decide(self, **review):
        status, body, _ = self.ask(f"/{self.token}/decide", review, **HEADERS)
        return status, json.loads(body)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        code = self.process.wait(20)
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A served dataset, with the path of its file."""
    path = tmp_path_factory.mktemp("served") / "data.jsonl"
    rows = [{"id": f"r{at}", "text": f"t{at}", "label": "ab"[at % 2]} for at in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = Page(path)
    yield page, path
    if page.process.poll() is None:
        page.stop(signal.SIGKILL)


def test_only_who_has_the_token_gets_anything(served):
    """No token, a wrong one, a foreign Host or Origin, a path that climbs: empty answers."""
    page, _ = served
    for path in ("/", "/pack", "/x/pack", f"/{page.token[:-1]}/pack", f"//{page.token}/pack",
                 f"/{page.token}/../../etc/passwd", f"/{page.token}/%2e%2e/%2e%2e/etc/passwd",
                 f"/{page.token}/page.css/../../x", f"/{page.token}/nothing"):  # fmt: skip
        status, body, _ = page.ask(path)
        assert (status, body) == (404, b""), path
    own = f"/{page.token}/pack"
    for headers in ({"Host": "evil.example"}, {"Host": f"127.0.0.1:{page.port + 1}"},
                    {"Origin": "http://evil.example"}, {"Origin": "null"},
                    {"Sec-Fetch-Site": "cross-site"}):  # fmt: skip
        status, body, _ = page.ask(own, **headers)
        assert (status, body) == (403, b""), headers
    assert page.ask(own, Origin=f"http://127.0.0.1:{page.port}")[0] == 200
    assert page.ask(own, Host=f"localhost:{page.port}")[0] == 200


def test_the_page_may_load_only_its_own(served):
    """The policy forbids everything that is not served here, and nothing is kept in a cache."""
    page, _ = served
    status, body, headers = page.ask(f"/{page.token}/")
    assert status == 200
    headers = {name.lower(): value for name, value in headers.items()}
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert b"http://" not in body
    assert b"https://" not in body


def test_decisions_are_in_the_log_when_they_are_answered(served):
    """Each is checked like an import; a second reviewer sees nothing of the first one's."""
    page, path = served
    ann = {"row_id": "r0", "decision": "accept", "edits": {}, "reviewer": "ann", "seconds": 1.5}
    assert page.decide(**ann) == (200, {"outcome": "applied"})
    assert page.decide(**ann) == (200, {"outcome": "unchanged"})
    bob = {**ann, "decision": "edit", "edits": {"label": "b"}, "reviewer": "bob"}
    assert page.decide(**bob) == (200, {"outcome": "conflict"})
    folder = path.with_name("data.jsonl.review")
    assert [(r.reviewer, r.decision, r.seconds) for r in read_log(folder)] == [
        ("ann", "accept", 1.5), ("bob", "edit", 1.5)
    ]  # fmt: skip
    state = json.loads(page.ask(f"/{page.token}/state?reviewer=bob")[1])
    assert {id: said["edits"] for id, said in state.items()} == {"r0": {"label": "b"}}
    assert page.decide(**{**bob, "decision": None}) == (200, {"outcome": "applied"})
    assert json.loads(page.ask(f"/{page.token}/state?reviewer=bob")[1]) == {}
    assert page.decide(**{**bob, "decision": None}) == (200, {"outcome": "unchanged"})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"row_id": "nobody", "decision": "accept"}, 422),
        ({"row_id": "r1", "decision": "maybe"}, 422),
        ({"row_id": "r1", "decision": "edit", "edits": {}}, 422),
        ({"row_id": "r1", "decision": "edit", "edits": {"nope": "x"}}, 422),
        ([1], 422),
        (b"{broken", 422),
        (b"[" * 100_000, 422),
        (b'{"row_id": "r1", "decision": "accept", "seconds": NaN}', 422),
        (b'{"row_id": "r1", "decision": "skip", "comment": "\\ud800"}', 422),
        (b"\xff\xfe", 422),
        (b'"' + b"x" * (5 << 20) + b'"', 413),
    ],
    ids=[
        "no row",
        "no decision",
        "no edit",
        "no field",
        "list",
        "broken",
        "deep",
        "not a number",
        "half a character",
        "not text",
        "long",
    ],
)
def test_nonsense_is_refused(served, body, status):
    """What is no decision for a row of the pack leaves the log as it was."""
    page, path = served
    before = len(read_log(path.with_name("data.jsonl.review")))
    assert page.ask(f"/{page.token}/decide", body, **HEADERS)[0] == status
    assert len(read_log(path.with_name("data.jsonl.review"))) == before


def test_only_json_is_taken(served):
    """A form of another page cannot post here, whatever it knows."""
    page, _ = served
    body = {"row_id": "r1", "decision": "accept"}
    assert page.ask(f"/{page.token}/decide", body, **{"Content-Type": "text/plain"})[0] == 415
    assert page.ask(f"/{page.token}/decide", method="GET")[:2] == (404, b"")


def test_killing_the_server_loses_nothing(served):
    """After kill -9 the log holds all, and a new server knows it; Ctrl-C ends with exit code 0."""
    page, path = served
    for at in range(2, 8):
        assert page.decide(row_id=f"r{at}", decision="accept", reviewer="eve")[0] == 200
    page.stop(signal.SIGKILL)
    folder = path.with_name("data.jsonl.review")
    assert sum(review.reviewer == "eve" for review in read_log(folder)) == 6
    again = Page(path)
    try:
        assert again.pack_id == page.pack_id
        state = json.loads(again.ask(f"/{again.token}/state?reviewer=eve")[1])
        assert len(state) == 6
        assert again.token != page.token
    finally:
        code = again.stop(signal.SIGINT)
    assert code == 0
