"""The forecast against DeepSpeed's own estimator, against a real step, and against itself."""

from dataclasses import replace
from pathlib import Path

import pytest

from distill.plan.memory import Setting, by_stage, table, training_memory, weights_memory
from distill.plan.shape import shape_of, shipped_shapes

LLAMA = shape_of(shipped_shapes()["meta-llama/Llama-2-7b-hf"])
LARGE = shape_of(shipped_shapes()["meta-llama/Llama-3.1-70B"])


@pytest.mark.parametrize("devices", [1, 8])
def test_model_states_are_those_of_deepspeeds_estimator(devices):
    """ZeRO-2 and ZeRO-3, with and without offload: weights, gradients and optimiser to 0.1 %."""
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs as three
    from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs as two

    def states(**more):
        memory = training_memory(LLAMA, Setting(devices=devices, **more))
        return memory.weights + memory.gradients + memory.optimizer

    size, largest = LLAMA.parameters, LLAMA.largest_module
    gpus = {"num_gpus_per_node": devices}
    _, theirs = two(size, cpu_offload=False, **gpus)
    assert states(stage="zero2") == pytest.approx(theirs, rel=1e-3)
    _, theirs = two(size, cpu_offload=True, **gpus)
    assert states(stage="zero2", offload_optimizer=True) == pytest.approx(theirs, rel=1e-3)
    _, theirs, _ = three(size, largest, cpu_offload=False, **gpus)
    assert states(stage="zero3") == pytest.approx(theirs, rel=1e-3)
    _, theirs, _ = three(size, largest, cpu_offload=True, cpu_offload_params=False, **gpus)
    assert states(stage="zero3", offload_optimizer=True) == pytest.approx(theirs, rel=1e-3)
    _, theirs, _ = three(size, largest, cpu_offload=True, cpu_offload_params=True, **gpus)
    everything = states(stage="zero3", offload_optimizer=True, offload_weights=True)
    assert everything == pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_measured_step_on_a_cpu_is_near_the_forecast(checkpointing):
    """Peak of all tensors of a real AdamW step with the fused loss, within a quarter."""
    import torch
    from torch.distributed._tools.mem_tracker import MemTracker
    from transformers import LlamaConfig, LlamaForCausalLM

    from distill.losses.fused_loss import HeadTargets
    from distill.recipe.training import ForwardKL
    from distill.train.fused_head import FusedHead, head_terms

    rows, length = 4, 256
    config = LlamaConfig(
        vocab_size=512, hidden_size=128, intermediate_size=344, num_hidden_layers=6,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=length,
    )  # fmt: skip
    model = LlamaForCausalLM(config).train()
    if checkpointing:
        model.gradient_checkpointing_enable()
    FusedHead.install(model)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    ids_BT = torch.randint(512, (rows, length))
    inputs = {"input_ids": ids_BT, "attention_mask": torch.ones_like(ids_BT), "labels": ids_BT}
    keep_BT = torch.ones((rows, length - 1), dtype=torch.bool)
    targets = HeadTargets(ids_BT[:, 1:][keep_BT], ForwardKL(), keep_BT=keep_BT)

    def step():
        head_terms(model, inputs, targets).weighted.backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    tracker = MemTracker()
    tracker.track_external(model, optimizer)
    with tracker:
        step()
    [device] = tracker.get_tracker_snapshot("peak").values()
    measured = device["Total"]
    setting = Setting(rows=rows, length=length, checkpointing=checkpointing, half=False)
    forecast = training_memory(shape_of(config.to_dict()), setting)
    assert forecast.total == pytest.approx(measured, rel=0.25), (forecast, device)


def test_more_sharding_less_memory():
    """Each stage takes no more than the one before on eight devices, and LoRA less than full."""
    sizes = by_stage(LARGE, Setting(devices=8, checkpointing=True))
    assert sizes["zero0"] > sizes["zero1"] > sizes["zero2"] > sizes["zero3"]
    full = training_memory(LARGE, Setting(devices=8)).total
    lora = training_memory(LARGE, Setting(devices=8, method="lora")).total
    qlora = training_memory(LARGE, Setting(devices=8, method="qlora")).total
    assert full > 3 * lora > 3 * qlora


def test_a_teacher_counts_where_it_lives_beside_the_student():
    """A live 70B teacher adds its weights, in 16 or 4 bits; a cached signal adds hardly any."""
    alone = training_memory(LLAMA, Setting(checkpointing=True)).total
    beside = training_memory(LLAMA, Setting(checkpointing=True, signal="dense"), LARGE).total
    small = training_memory(LLAMA, Setting(checkpointing=True, signal="dense"), LARGE, 4).total
    cached = training_memory(LLAMA, Setting(checkpointing=True, signal="topk")).total
    assert beside - alone > 130 * 2**30
    assert 38 * 2**30 < small - alone < 50 * 2**30
    assert cached - alone < 2**21
    assert weights_memory(LARGE, 16) == 2 * LARGE.parameters


def test_activations_follow_rows_and_length():
    """Twice the rows or twice the length is twice the activations."""
    one = training_memory(LLAMA, Setting()).activations
    assert training_memory(LLAMA, replace(Setting(), rows=2)).activations == 2 * one
    assert training_memory(LLAMA, Setting(length=4096)).activations == 2 * one


def test_the_readmes_table_is_fresh():
    """README.md shows what the formulas give today."""
    names = {name.split("/")[1]: shape_of(config) for name, config in shipped_shapes().items()}
    readme = Path(__file__).resolve().parents[2] / "README.md"
    assert table(names) in readme.read_text("utf-8"), "Type: make docs"
