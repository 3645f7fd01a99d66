"""One variant of `bench_kd_loss.py` in a process of its own, with torch and what it needs itself.

Usage: kd_loss_variants.py VARIANT SETTINGS.json. Says what its inputs take, then runs once for
every line on stdin and says how long that took.
"""

import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

PROTOTYPE_ROWS = 256
"""Of a chunk: no faster and no slower than 128 or 512, and the least memory of these."""


class Case:
    """The inputs: hidden states, output layers and labels, drawn from one seed."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        torch.manual_seed(0)
        self.rows, self.vocab = settings["tokens"], settings["vocab"]
        self.beta = {"forward_kl": 0.0, "jsd": 0.5}[settings["loss"]]
        own, theirs = settings["student_hidden"], settings["teacher_hidden"]
        self.x = torch.randn(self.rows, own, requires_grad=True)
        self.weight = torch.empty(self.vocab, own).normal_(std=0.05).requires_grad_()
        self.states = torch.randn(self.rows, theirs)
        self.head = torch.empty(self.vocab, theirs).normal_(std=0.05)
        self.labels = torch.randint(self.vocab, (self.rows,))

    def clear(self) -> None:
        """Forgets the gradients."""
        self.x.grad = self.weight.grad = None


def products(case: Case) -> Callable[[], None]:
    """The four matrix products that no variant can do without, and nothing else."""
    x, weight = case.x.detach(), case.weight.detach()

    def run() -> None:
        z = x @ weight.t()
        _ = case.states @ case.head.t()
        _ = z @ weight
        _ = z.t() @ x

    return run


def naive(case: Case) -> Callable[[], Tensor]:
    """Autograd on whole logits."""

    def run() -> Tensor:
        with torch.no_grad():
            logp = (case.states @ case.head.t()).log_softmax(-1)
        loss = _divergence((case.x @ case.weight.t()).log_softmax(-1), logp, case.beta).sum()
        loss = loss / case.rows
        loss.backward()
        return loss.detach()

    return run


def _divergence(logq: Tensor, logp: Tensor, beta: float) -> Tensor:
    if beta == 0:
        return (logp.exp() * (logp - logq)).sum(-1)
    log_mean = torch.logaddexp(logp + math.log(beta), logq + math.log1p(-beta))
    own, theirs = logq.exp() * (logq - log_mean), logp.exp() * (logp - log_mean)
    return (beta * theirs + (1 - beta) * own).sum(-1)


class Prototype(torch.autograd.Function):
    """Gradients worked out in the forward pass, chunk by chunk of rows, in the plainest way."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, states: Tensor, head: Tensor, beta: float
    ) -> Tensor:
        """The sum over rows; keeps both gradients."""
        dx, dweight = torch.empty_like(x), torch.zeros_like(weight)
        total = x.new_zeros(())
        for start in range(0, len(x), PROTOTYPE_ROWS):
            at = slice(start, start + PROTOTYPE_ROWS)
            logq = (x[at] @ weight.t()).log_softmax(-1)
            logp = (states[at] @ head.t()).log_softmax(-1)
            if beta == 0:
                p = logp.exp()
                total += logp.sub_(logq).mul_(p).sum()
                dz = logq.exp_().sub_(p)
            else:
                log_mean = torch.logaddexp(logp + math.log(beta), logq + math.log1p(-beta))
                gap = logq - log_mean
                q = logq.exp_()
                own = (q * gap).sum(-1, keepdim=True)
                total += beta * (logp.exp() * (logp - log_mean)).sum() + (1 - beta) * own.sum()
                dz = gap.sub_(own).mul_(q).mul_(1 - beta)
            dx[at] = dz @ weight
            dweight.addmm_(dz.t(), x[at])
        ctx.save_for_backward(dx, dweight)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Any, ...]:
        """What was kept, scaled."""
        dx, dweight = ctx.saved_tensors
        return dx.mul_(upstream), dweight.mul_(upstream), None, None, None


def prototype(case: Case) -> Callable[[], Tensor]:
    """The class above."""

    def run() -> Tensor:
        total: Tensor = Prototype.apply(case.x, case.weight, case.states, case.head, case.beta)  # type: ignore[no-untyped-call]
        loss = total / case.rows
        loss.backward()
        return loss.detach()

    return run


def trl(case: Case) -> Callable[[], Tensor]:
    """TRL's chunked divergence."""
    from trl.kernels.chunked_divergence import ChunkedDivergenceFunction

    def run() -> Tensor:
        found, _ = ChunkedDivergenceFunction.apply(
            case.x, case.weight, None, case.states, case.head, None, case.beta
        )
        loss: Tensor = found.sum() / case.rows
        loss.backward()
        return loss.detach()

    return run


def _ours(schedule: Any) -> Callable[[Case], Callable[[], Tensor]]:
    """The fused loss of this project."""

    def of(case: Case) -> Callable[[], Tensor]:
        from distill.losses.fused_loss import DenseTargets, FusedPlan, HeadTargets, Part, fused_loss
        from distill.recipe.training import JSD, ForwardKL

        loss = (
            JSD(kind="jsd", weight=1.0, ce=0.0, beta=case.beta)
            if case.beta
            else ForwardKL(kind="forward_kl", weight=1.0, ce=0.0)
        )
        teacher = DenseTargets(case.states, lambda some: some @ case.head.t())
        targets = HeadTargets(case.labels, loss, teacher, width=case.vocab)

        def run() -> Tensor:
            found = fused_loss([Part(case.x, case.weight)], None, targets, FusedPlan(schedule))
            mean = found.weighted / case.rows
            mean.backward()
            return mean.detach()

        return run

    return of


def chunk_bytes(case: Case) -> int:
    """Bytes of one float32 [chunk, V] buffer of our own variants."""
    from distill.losses.fused_loss import FusedPlan, chunk_rows

    rows = chunk_rows(case.rows, case.vocab, FusedPlan(), case.x)
    assert rows < case.rows, "the chunk holds all rows, so its bound on memory says nothing"
    return 4 * rows * case.vocab


VARIANTS: Mapping[str, Callable[[Case], Callable[[], Any]]] = {
    "products": products,
    "naive": naive,
    "trl": trl,
    "prototype": prototype,
    "forward": _ours("forward"),
    "recompute": _ours("recompute"),
}


def main() -> None:
    """Answers every line on stdin with one run, as one line of JSON."""
    name, settings = sys.argv[1], json.loads(sys.argv[2])
    torch.set_num_threads(settings["threads"])
    # What is loaded and set up on first use belongs to no variant.
    VARIANTS[name](Case(settings | {"tokens": 8 * PROTOTYPE_ROWS, "vocab": 64}))()
    case = Case(settings)
    _fill_workspace(case)
    run = VARIANTS[name](case)
    inputs = _resident_bytes()
    buffer = chunk_bytes(case) if name in ("forward", "recompute") else None
    print(json.dumps({"inputs": inputs, "buffer": buffer}), flush=True)
    for _ in sys.stdin:
        wall, busy = time.perf_counter(), time.process_time()
        loss = run()
        wall, busy = time.perf_counter() - wall, time.process_time() - busy
        gradients = sum(one.grad.nbytes for one in (case.x, case.weight) if one.grad is not None)
        case.clear()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        told = {
            "seconds": wall,
            "cpu_seconds": busy,
            "peak": peak,
            "above": peak - inputs - gradients,
            "loss": None if loss is None else float(loss),
        }
        print(json.dumps(told), flush=True)


def _fill_workspace(case: Case) -> None:
    """Products of the shapes to come: the matrix library keeps about 50 MB for all of them."""
    at = slice(0, PROTOTYPE_ROWS)
    x, weight = case.x.detach()[at], case.weight.detach()
    z = x @ weight.t()
    _ = z @ weight
    _ = case.states[at] @ case.head.t()


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
