"""Capture from a server that scores prompts, over real HTTP."""

import asyncio
import math

import numpy as np
import pytest
from aiohttp import web

from distill.capture.local import capture
from distill.capture.metering import WRITTEN, Meter
from distill.capture.served import PromptServer, capture_served, score_tokens
from distill.errors import DataError, RecipeError, RunError
from distill.progress import silent
from distill.signals.cache import SignalCache
from distill.signals.settings import CaptureSettings
from teachers.budget import Budget, Caps, read_totals
from teachers.errors import BudgetReached

SETTINGS = CaptureSettings(k=8, codec="raw")


class Server:
    """Answers as vLLM does, from a local model; it may fail first, or speak of other tokens."""

    def __init__(self, teacher, tokenizer, *, fail=0, limit=20, shift=0, bare=False):
        self._teacher, self._tokenizer = teacher, tokenizer
        self._fail, self._limit, self._shift, self._bare = fail, limit, shift, bare
        self.asked = []

    async def completions(self, request):
        import torch

        body = await request.json()
        self.asked.append((body, request.headers.get("Authorization")))
        if self._fail:
            self._fail -= 1
            return web.Response(status=503, text="loading")
        wanted = body["prompt_logprobs"]
        if wanted > self._limit:
            text = f"Requested prompt logprobs of {wanted}, which is greater than {self._limit}"
            return web.json_response({"error": {"message": text}}, status=400)
        ids = body["prompt"]
        with torch.no_grad():
            logits = self._teacher.model(torch.tensor([ids])).logits[0, :, : len(self._tokenizer)]
        logp = logits.log_softmax(-1)
        given = [
            None,
            *(self._position(logp[at - 1], ids[at], wanted) for at in range(1, len(ids))),
        ]
        choice = {"index": 0, "text": "!", "finish_reason": "length", "logprobs": None}
        choice["prompt_logprobs"] = None if self._bare else given
        return web.json_response({"id": "1", "model": body["model"], "choices": [choice]})

    def _position(self, logp_V, token, wanted):
        rank = int((logp_V > logp_V[token]).sum()) + 1
        told = {token: (float(logp_V[token]), rank)}
        for place, at in enumerate(logp_V.topk(max(wanted, 1)).indices.tolist()[:wanted], start=1):
            told.setdefault(at, (float(logp_V[at]), place))
        return {
            str(at): {
                "logprob": logp if math.isfinite(logp) else -9999.0,
                "rank": place,
                "decoded_token": self._tokenizer.decode(
                    [(at + self._shift) % len(self._tokenizer)]
                ),
            }
            for at, (logp, place) in told.items()
        }


def _serve(server, use):
    """Runs `use(base_url)` beside the server."""

    async def run():
        app = web.Application()
        app.router.add_post("/v1/completions", server.completions)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        try:
            async with asyncio.timeout(60):
                return await use(f"http://127.0.0.1:{port}/v1")
        finally:
            await runner.cleanup()

    return asyncio.run(run())


def _capture(server, tokenizer, folder, rows, settings=SETTINGS, **options):
    async def use(base_url):
        where = PromptServer(
            base_url, "m", headers={"Authorization": "Bearer k"}, retry_s=0.01, **options
        )
        return await capture_served(rows, where, tokenizer, settings, folder, silent)

    return _serve(server, use)


def test_served_is_local(tmp_path, teacher, tokenizer, make_rows):
    """A served teacher gives the signals of the same model in this process, resumed by key."""
    rows = make_rows(8)
    server = Server(teacher, tokenizer, fail=2)
    _capture(server, tokenizer, tmp_path / "served", rows[:3])
    found = _capture(server, tokenizer, tmp_path / "served", rows)
    assert (found.rows, found.stored) == (8, 3)
    assert len(server.asked) == 8 + 2
    body, key = server.asked[-1]
    assert (body["prompt_logprobs"], body["max_tokens"], key) == (8, 1, "Bearer k")
    capture(rows, teacher, tokenizer, SETTINGS, tmp_path / "local", silent)
    served, local = SignalCache(tmp_path / "served"), SignalCache(tmp_path / "local")
    for row in rows:
        one, other = served.read(row), local.read(row)
        assert one.ids_E.tolist() == other.ids_E.tolist()
        assert np.allclose(one.logp_E, other.logp_E, atol=1e-4)
        assert np.allclose(one.gold_logp_N, other.gold_logp_N, atol=1e-4)
        assert np.allclose(np.exp(one.log_tail_N), np.exp(other.log_tail_N), atol=1e-5)


def test_top_p_and_written_tokens(tmp_path, teacher, tokenizer, make_rows):
    """The same settings as for a local teacher: variable k, or written tokens alone."""
    rows = make_rows(4)
    server = Server(teacher, tokenizer)
    settings = CaptureSettings(k=8, top_p=0.7, min_k=2, codec="raw")
    _capture(server, tokenizer, tmp_path / "p", rows, settings)
    capture(rows, teacher, tokenizer, settings, tmp_path / "l", silent)
    ours, theirs = (
        SignalCache(tmp_path / "p").read(rows[3]),
        SignalCache(tmp_path / "l").read(rows[3]),
    )
    assert ours.starts_M.tolist() == theirs.starts_M.tolist()
    _capture(server, tokenizer, tmp_path / "t", rows, CaptureSettings(kind="token", codec="raw"))
    token = SignalCache(tmp_path / "t").read(rows[3])
    assert np.allclose(token.gold_logp_N, ours.gold_logp_N, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"limit": 5}, RecipeError, "--max-logprobs 8"),
        ({"shift": 1}, RecipeError, "as other texts"),
        ({"bare": True}, DataError, "prompt_logprobs"),
        ({"fail": 100}, RunError, "loading"),
    ],
)
def test_servers_that_cannot_be_used(tmp_path, teacher, tokenizer, make_rows, options, error, says):
    """Too few log-probabilities, other tokens, another API, no answer: each is told."""
    with pytest.raises(error) as caught:
        _capture(Server(teacher, tokenizer, **options), tokenizer, tmp_path, make_rows(4))
    assert says in str(caught.value.problems[0])


def test_a_served_teacher_worse_than_a_guess(tmp_path, make_teacher, tokenizer, make_rows):
    """The same refusal as for a local teacher."""
    server = Server(make_teacher(step=2), tokenizer)
    with pytest.raises(RecipeError, match="worse than a guess"):
        _capture(server, tokenizer, tmp_path, make_rows(6))


def test_no_server(tmp_path, tokenizer, make_rows):
    """A port where nobody listens is a run error."""

    async def use(base_url):
        where = PromptServer("http://127.0.0.1:1/v1", "m", retry_s=0.001)
        await capture_served(make_rows(2), where, tokenizer, SETTINGS, tmp_path, silent)

    with pytest.raises(RunError, match="no answer"):
        asyncio.run(use(""))


def test_the_cap_holds_and_nothing_paid_is_lost(tmp_path, teacher, tokenizer, make_rows):
    """Each row is reserved and settled; at the cap what was answered is kept, then it goes on."""
    rows = make_rows(60)
    tokens = sum(len(row.ids_T) + WRITTEN for row in rows)
    server = Server(teacher, tokenizer)

    def capture_with(cap):
        budget = Budget(tmp_path / "ledger.sqlite", Caps(tokens=cap))
        try:

            async def use(base_url):
                where = PromptServer(base_url, "m", concurrency=4)
                meter = Meter("big", None, budget)
                return await capture_served(
                    rows, where, tokenizer, SETTINGS, tmp_path / "cache", silent, meter=meter
                )

            return _serve(server, use)
        finally:
            budget.close()

    with pytest.raises(BudgetReached):
        capture_with(int(tokens * 0.8))
    sent = len(server.asked)
    assert 32 < sent < 60
    found = capture_with(tokens)
    assert found.stored == sent
    assert len(server.asked) == 60
    totals = read_totals(tmp_path / "ledger.sqlite")
    assert totals.requests == 60
    assert totals.input_tokens + totals.output_tokens == tokens


def test_written_tokens_are_scored(teacher, tokenizer, make_rows):
    """What the model says of each token, row by row, through retries; nothing is kept."""
    rows = make_rows(6)
    server = Server(teacher, tokenizer, fail=1)

    async def use(base_url):
        return await score_tokens(rows, PromptServer(base_url, "m", retry_s=0.01), tokenizer)

    found = _serve(server, use)
    import torch

    for row, one in zip(rows, found, strict=True):
        ids = torch.from_numpy(row.ids_T.astype("int64"))
        with torch.no_grad():
            logp = teacher.model(ids[None]).logits[0, :, : len(tokenizer)].log_softmax(-1)
        want = [float(logp[at - 1, ids[at]]) for at in row.positions_N.tolist()]
        assert one.gold_logp_N.tolist() == pytest.approx(want, abs=1e-4)
