"""One process of the ZeRO cases in test_fused_zero.py: OUT.json STAGE...; rank 0 writes the errors.

Every case: the gradients of a tiny student under ZeRO, beside those that autograd gives one process
for the whole batch from whole logits.
"""

import json
import os
import sys
from pathlib import Path

import deepspeed
import deepspeed.ops
import torch
from deepspeed.utils import safe_get_full_grad
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig

from distill.losses.fused_loss import DenseTargets, FusedPlan, HeadTargets
from distill.losses.objective import terms
from distill.recipe.training import ForwardKL
from distill.train.fused_head import FusedHead, head_terms

V, LOSS = 50, ForwardKL(weight=0.7, ce=0.3)
LORA = {"r": 2, "lora_alpha": 4, "lora_dropout": 0.0, "task_type": "CAUSAL_LM"}
BASE = ["q_proj", "v_proj"]
CASES = {
    "full": {},
    "tied": {"tied": True},
    "recompute": {"schedule": "recompute"},
    "recompute tied": {"schedule": "recompute", "tied": True},
    "lora": {"lora": {"target_modules": BASE}},
    "lora on head": {"lora": {"target_modules": [*BASE, "lm_head"]}},
    "lora on tied head": {"lora": {"target_modules": [*BASE, "lm_head"]}, "tied": True},
    "lora on head, recompute": {
        "lora": {"target_modules": [*BASE, "lm_head"]},
        "schedule": "recompute",
    },
    "modules to save": {"lora": {"target_modules": BASE, "modules_to_save": ["lm_head"]}},
    "lora on head, fetched ahead": {
        "lora": {"target_modules": [*BASE, "lm_head"]},
        "ahead": True,
    },
    "idle rank": {"idle": True},
    "bf16": {"bf16": True},
}


def _student(tied=False, lora=None, **_):
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=V,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=tied,
    )
    model = AutoModelForCausalLM.from_config(config)
    if lora:
        model = get_peft_model(model, LoraConfig(**LORA, **lora))
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter)
    return model


def _batch(idle=False, **_):
    torch.manual_seed(2)
    ids = torch.randint(V, (4, 7))
    labels = ids.where(torch.rand(4, 7) < 0.6, -100)
    if idle:
        labels[1::2] = -100
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def _teacher():
    torch.manual_seed(3)
    return torch.nn.Embedding(V, 8), torch.nn.Linear(8, V + 6)


def _targets(inputs):
    memory, head = _teacher()
    labels = inputs["labels"][:, 1:]
    keep = labels != -100
    states = memory(inputs["input_ids"][:, :-1][keep]).detach()
    return HeadTargets(labels[keep], LOSS, DenseTargets(states, head), width=V - 3, keep_BT=keep)


def _wanted(case, inputs):
    """Gradients of the mean objective in one process, through whole logits and autograd."""
    model, targets = _student(**case), _targets(inputs)
    logits = model(input_ids=inputs["input_ids"]).logits[:, :-1][targets.keep_BT]
    theirs = targets.teacher.project(targets.teacher.hidden_MH)[:, : targets.width].detach()
    found = terms(logits, targets.labels_N, LOSS, theirs, None, targets.width)
    loss = found.weighted / len(targets.labels_N)
    loss.backward()
    return float(loss), {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


def _config(stage, bf16=False, ahead=False):
    nothing_stays = {
        "stage3_param_persistence_threshold": 0,
        "stage3_max_live_parameters": 0,
        "stage3_max_reuse_distance": 0,
    }
    if ahead:  # as in the product: what comes next is on its way already
        del nothing_stays["stage3_max_live_parameters"]
    return {
        "train_micro_batch_size_per_gpu": 2,
        "bf16": {"enabled": bf16},
        "optimizer": {"type": "AdamW", "params": {"lr": 1e-3, "torch_adam": True}},
        "zero_optimization": {"stage": stage, **(nothing_stays if stage == 3 else {})},
    }


def _run(stage, case):
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    whole = _batch(**case)
    want_loss, want = _wanted(case, whole)
    model = _student(**case)
    FusedHead.install(model, FusedPlan(schedule=case.get("schedule", "auto"), budget_bytes=3000))
    weights = [p for p in model.parameters() if p.requires_grad]
    options = {name: case.get(name, False) for name in ("bf16", "ahead")}
    engine, *_ = deepspeed.initialize(
        model=model, model_parameters=weights, config=_config(stage, **options)
    )
    mine = {name: value[rank::world] for name, value in whole.items()}
    items = int((whole["labels"][:, 1:] != -100).sum())
    shapes, errors = set(), {}
    if options["ahead"]:  # the self-test's first pass, by whose order the next one fetches
        with torch.no_grad():
            engine(input_ids=mine["input_ids"])
    for _ in range(2):  # ZeRO-3 records its trace in the first pass and follows it in the second
        found = head_terms(engine, mine, _targets(mine))
        loss = found.weighted / items * world
        shapes.add(tuple(_weight(model).shape))
        engine.backward(loss)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                got = safe_get_full_grad(parameter).float()
                error = (got - want[name]).abs().max() / want[name].abs().max().clamp(min=1e-9)
                errors[name] = max(errors.get(name, 0.0), float(error))
        engine.optimizer.zero_grad()
    engine.eval()
    with torch.no_grad():
        loss = head_terms(engine, mine, _targets(mine)).weighted / items
    torch.distributed.all_reduce(loss)
    shapes.add(tuple(_weight(model).shape))
    engine.destroy()
    return {"gradients": errors, "loss": abs(float(loss) - want_loss), "shapes": sorted(shapes)}


def _weight(model):
    head = (model.get_base_model() if hasattr(model, "get_base_model") else model).lm_head
    if hasattr(head, "modules_to_save"):
        return head.modules_to_save["default"].weight
    return getattr(head, "base_layer", head).weight


if __name__ == "__main__":
    out, stages = Path(sys.argv[1]), [int(stage) for stage in sys.argv[2:]]
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="gloo", auto_mpi_discovery=False)
    results = [{name: _run(stage, case) for name, case in CASES.items()} for stage in stages]
    if os.environ["RANK"] == "0":
        out.write_text(json.dumps(results))
