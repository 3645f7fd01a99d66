"""A whole run whose student learns on its own words, scored by a teacher behind a server."""

import asyncio
import json
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from aiohttp import web

TRAIN = """\
student:
  init: scratch
  tokenizer: NEAR
  config: {model_type: llama, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1,
           num_attention_heads: 2, max_position_embeddings: 64}
train: {batch: 4, steps: 6, lr: 1.0e-2, max_length: 64, on_policy: 0.5,
        signal: {kind: token, from: scorer},
        loss: {kind: sampled_reverse_kl, weight: 1.0, ce: 0.5}}
"""


class Scorer:
    """`/v1/completions` with `prompt_logprobs` as vLLM answers it, from a local model."""

    def __init__(self, folder):
        from teachers.local_model import LocalModel

        self._teacher = LocalModel.load(str(folder))
        self.asked = []

    async def completions(self, request):
        body = await request.json()
        ids = body["prompt"]
        self.asked.append(ids)
        tokenizer = self._teacher.tokenizer
        with torch.no_grad():
            logits = self._teacher.model(torch.tensor([ids])).logits[0, :, : len(tokenizer)]
        logp = logits.log_softmax(-1)
        given = [None] + [self._told(logp[at - 1], ids[at]) for at in range(1, len(ids))]
        choice = {"index": 0, "text": "!", "finish_reason": "length", "prompt_logprobs": given}
        usage = {"prompt_tokens": len(ids), "completion_tokens": 1}
        return web.json_response({"model": body["model"], "choices": [choice], "usage": usage})

    def _told(self, logp_V, token):
        text = self._teacher.tokenizer.decode([token])
        rank = int((logp_V > logp_V[token]).sum()) + 1
        return {str(token): {"logprob": float(logp_V[token]), "rank": rank, "decoded_token": text}}


@contextmanager
def serving(scorer):
    """The address of the server while it runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_post("/v1/completions", scorer.completions)
    runner = web.AppRunner(app)

    async def begin():
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return site._server.sockets[0].getsockname()[1]

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = asyncio.run_coroutine_threadsafe(begin(), loop).result(30)
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


def test_a_served_teacher_scores_what_the_student_writes(
    project, trained_folder, tmp_path, monkeypatch
):
    """Half the steps are the student's own: every row of them is scored once, and paid for."""
    near = trained_folder / "runs" / "tiny" / "student"
    scorer = Scorer(near)
    project.write_project(tmp_path, more=TRAIN.replace("NEAR", str(near)))
    monkeypatch.chdir(tmp_path)
    with serving(scorer) as url:
        price = "price: {input: 1, output: 1}"
        teacher = f"  scorer: {{kind: openai, base_url: '{url}', model: seventy, {price}}}\ntask:"
        project.change(tmp_path / "recipe.yaml", "task:", teacher)
        said = project.command("train", "recipe.yaml", "--json")
    assert said.code == 0, said.err + said.out
    assert len(scorer.asked) == 3 * 4
    [done] = Path("runs/tiny/stages").glob("*-train/done.json")
    curve = json.loads(done.read_text())["details"]["curves"]["student"]
    own = [point for point in curve if point.get("step") in (2, 4, 6) and "loss" in point]
    # An estimate of KL(student || teacher), alone in the loss of such a step.
    assert all(point["loss"] == pytest.approx(point["kd_loss"], rel=1e-4) for point in own)
    assert own[0]["kd_loss"] > 0
    given = next(point for point in curve if point.get("step") == 1)
    assert given["loss"] == pytest.approx(1.5 * given["ce_loss"], rel=1e-4)
    explained = project.command("explain-loss", "recipe.yaml", "--json").json
    assert "k1 = log q(y) - log p(y)" in explained["formula"]
    report = json.loads(Path("runs/tiny/report.json").read_text())
    spent = report["cost"]["by_teacher"]["scorer"]
    assert spent["requests"] == 12
    assert spent["usd"] > 0
