"""The signal cache: bytes per position and fidelity of every codec, and how fast it is decoded.

Usage: bench_cache.py [--long]. At a vocabulary of 151,936 on heavy-tailed synthetic logits, named
as such; on the logits of the real models where `../shared/real` lies beside the checkout.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from record import Bar, write_result

from distill.signals.codecs import decode, encode
from distill.signals.select import select_sampled, select_top_k
from distill.signals.types import Sampled, TopK

VOCABULARY = 151_936
DENSE_BYTES = 2 * VOCABULARY
DISTILLKIT = {"k=128, 16 exact, 6 terms": 344, "k=50, 1 exact, 3 terms": 127}
"""Bytes per position by the arithmetic of its formats at this vocabulary."""
LEAST_PER_S = 50_000
DRAWS = 50


def main() -> None:
    """Writes results/cache.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--long", action="store_true", help="four times as many positions")
    long = parser.parse_args().long
    torch.set_num_threads(1)
    positions = 2048 if long else 512
    sources: dict[str, Any] = {"synthetic, Zipf 1.1 with noise": _synthetic(positions)}
    sources |= _real(positions)
    figures = {name: _codecs(logits) for name, logits in sources.items()}
    speed = {name: _speed(name, long) for name in ("raw", "packed", "set", "sampled")}
    write_result(
        "cache",
        "bytes per position, KL(true || rebuilt) and positions decoded per second on one core",
        settings={"positions": positions, "vocabulary": VOCABULARY, "draws": DRAWS},
        figures={
            "codecs": figures,
            "decoded_per_s_at_k_64": speed,
            "dense_bytes": DENSE_BYTES,
            "distillkit_bytes": DISTILLKIT,
        },
        bars=[
            Bar(f"positions decoded per second, {name}, k = 64", speed[name], at_least=LEAST_PER_S)
            for name in ("packed", "set", "sampled")
        ],
    )
    print(json.dumps(figures, indent=1))


def _synthetic(positions: int) -> torch.Tensor:
    """Ranks with a power law and noise, in an order of its own at every position: (N, V)."""
    stream = torch.Generator().manual_seed(0)
    ranked_V = -1.1 * torch.arange(1, VOCABULARY + 1).log()
    rows = []
    for _ in range(min(positions, 128)):
        noisy_V = ranked_V + 0.5 * torch.randn(VOCABULARY, generator=stream)
        sharper = 1 + 2 * float(torch.rand((), generator=stream))
        rows.append(noisy_V[torch.randperm(VOCABULARY, generator=stream)] * sharper)
    return torch.stack(rows)


def _real(positions: int) -> dict[str, torch.Tensor]:
    """Logits of the real models on the starts of stories, where they are there."""
    from teachers.local_model import LocalModel

    real = Path(__file__).resolve().parents[3] / "shared" / "real"
    stories = real / "data" / "tinystories" / "tinystories_1000.json"
    if not stories.is_file():
        return {}
    text = " ".join(json.loads(stories.read_text("utf-8"))[:8])
    found = {}
    for name in ("babyllama-tok361", "stories260k"):
        model = LocalModel.load(str(real / "models" / name), chat=False)
        ids = model.tokenizer(text, add_special_tokens=False)["input_ids"][: 128 * 8]
        rows = torch.tensor(ids[: len(ids) // 128 * 128]).reshape(-1, 128)
        with torch.no_grad():
            logits = model.model(rows).logits[:, :, : len(model.tokenizer)]
        found[name] = logits.reshape(-1, logits.shape[-1]).float()[:positions]
        model.release()
    return found


def _codecs(logits_NV: torch.Tensor) -> dict[str, Any]:
    """What each codec takes and loses on these logits."""
    gold_N = logits_NV.argmax(-1)
    kept = {
        "raw k=64": ("raw", select_top_k(logits_NV, gold_N, k=64)),
        "packed k=64": ("packed", select_top_k(logits_NV, gold_N, k=64)),
        "set k=64": ("set", select_top_k(logits_NV, gold_N, k=64)),
        "set k=16": ("set", select_top_k(logits_NV, gold_N, k=16)),
        "set top_p=0.98, 4 to 64": (
            "set", select_top_k(logits_NV, gold_N, k=64, top_p=0.98, min_k=4)
        ),
    }  # fmt: skip
    found: dict[str, Any] = {}
    for name, (codec, signal) in kept.items():
        record = encode(signal, codec, logits_NV.shape[-1])
        back = decode(record)
        assert isinstance(back, TopK)
        found[name] = {
            "bytes": len(record) / len(gold_N),
            "covered": float(-np.expm1(back.log_tail_N.astype(np.float64)).mean()),
            "kl_coarse": _coarse_kl(logits_NV, back),
            "kl_even_tail": _even_kl(logits_NV, back),
        }
    uniform_NR = np.random.default_rng(0).random((len(gold_N), DRAWS))
    drawn = select_sampled(logits_NV, gold_N, uniform_NR)
    record = encode(drawn, "sampled", logits_NV.shape[-1])
    found[f"sampled, {DRAWS} draws"] = {
        "bytes": len(record) / len(gold_N),
        "distinct": float(drawn.counts_N.mean()),
    }
    return found


def _parts(logits_NV: torch.Tensor, signal: TopK) -> tuple[Any, Any, Any, Any]:
    logp_NV = logits_NV.double().log_softmax(-1)
    at_E = torch.repeat_interleave(
        torch.arange(len(logp_NV)), torch.from_numpy(signal.counts_N.astype(np.int64))
    )
    ids_E = torch.from_numpy(signal.ids_E.astype(np.int64))
    logp_E = logp_NV[at_E, ids_E]
    head_E = logp_E.exp() * (logp_E - torch.from_numpy(signal.logp_E.astype(np.float64)))
    head_N = torch.zeros(len(logp_NV), dtype=torch.float64).index_add_(0, at_E, head_E)
    rest_NV = logp_NV.index_put((at_E, ids_E), torch.tensor(-torch.inf, dtype=torch.float64))
    tail_N = torch.from_numpy(signal.log_tail_N.astype(np.float64)).clamp(min=-1e4)
    return head_N, rest_NV, tail_N, torch.from_numpy(signal.counts_N.astype(np.int64))


def _coarse_kl(logits_NV: torch.Tensor, signal: TopK) -> float:
    """With everything outside the support as one token."""
    head_N, rest_NV, tail_N, _ = _parts(logits_NV, signal)
    mass_N = rest_NV.logsumexp(-1).clamp(min=-1e4)
    return float((head_N + mass_N.exp() * (mass_N - tail_N)).mean())


def _even_kl(logits_NV: torch.Tensor, signal: TopK) -> float:
    """With the tail spread evenly over the tokens outside."""
    head_N, rest_NV, tail_N, counts_N = _parts(logits_NV, signal)
    left_N = (logits_NV.shape[-1] - counts_N).clamp(min=1).double()
    even_N1 = (tail_N - left_N.log())[:, None]
    spread_N = (rest_NV.exp() * (rest_NV.clamp(min=-1e4) - even_N1)).sum(-1)
    return float((head_N + spread_N).mean())


def _speed(codec: str, long: bool) -> float:
    """Positions decoded per processor second, rows of 512 positions with 64 tokens each."""
    rng = np.random.default_rng(0)
    signal = _made_up(rng, draws=codec == "sampled")
    record = encode(signal, codec, VOCABULARY)
    decode(record)
    best = 0.0
    for _ in range(3):
        started, done = time.process_time(), 0
        while time.process_time() - started < (2.0 if long else 0.5):
            decode(record)
            done += signal.positions
        best = max(best, done / (time.process_time() - started))
    return best


def _made_up(rng: np.random.Generator, *, draws: bool) -> TopK | Sampled:
    positions, k = 512, 64
    ids_NK = np.sort(rng.integers(0, VOCABULARY - k, (positions, k)), axis=1) + np.arange(k)
    ids_E = ids_NK.reshape(-1).astype(np.int32)
    starts_M = np.arange(positions + 1, dtype=np.int64) * k
    gold_N = np.full(positions, -1.0, np.float32)
    if draws:
        return Sampled(gold_N, starts_M, ids_E, np.ones(positions * k, np.int32), k)
    logits = rng.normal(0, 3, (positions, k + 1))
    logp_NC = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    logp_E = logp_NC[:, :k].reshape(-1).astype(np.float32)
    return TopK(gold_N, starts_M, ids_E, logp_E, logp_NC[:, k].astype(np.float32))


if __name__ == "__main__":
    main()
