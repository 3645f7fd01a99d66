"""Whole trainings of a tiny student: objective, batches, resume, results, refusals."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from distill.errors import DataError, RecipeError
from distill.progress import silent
from distill.recipe.student import Student
from distill.train import stage, teacher_states
from distill.train.plan import RESULT_FILE, TrainPlan
from distill.train.stage import train
from distill.train.student import load_student
from teachers.local_model import LocalModel

DENSE = {"signal": {"kind": "dense"}, "loss": {"kind": "forward_kl", "weight": 0.9, "ce": 0.1}}


@pytest.fixture
def teacher(teacher_folder):
    return lambda: LocalModel.load(teacher_folder)


def _weights(result):
    return load_file(Path(result.model_dir) / "model.safetensors")


def _losses(result):
    return [point["loss"] for point in result.curve if "loss" in point]


def _largest_difference(one, other):
    ours, theirs = _weights(one), _weights(other)
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


def test_a_student_learns_its_rows(make_plan):
    """The loss falls, the folder loads, and the result says what was done."""
    told = []
    plan = make_plan(steps=60, lr=1e-2)
    result = train(plan, None, told.append)
    assert result.loss_last < 0.2 * result.loss_first
    model = AutoModelForCausalLM.from_pretrained(result.model_dir)
    assert sum(p.numel() for p in model.parameters()) == result.trainable
    assert result.trainable_share == 1
    assert result.steps == 60
    assert result.supervised_tokens < result.tokens
    assert told[-1].figures["loss"] == result.loss_last
    assert (told[-1].done, told[-1].total) == (60, 60)
    assert model.generation_config.eos_token_id == [2]
    assert not list(Path(plan.out_dir).rglob("*.bin"))


@pytest.mark.parametrize("settings", [{}, DENSE], ids=["text", "dense"])
def test_the_split_into_micro_batches_changes_nothing(make_plan, teacher, settings):
    """Batch 1 x accumulation 8 gives the trajectory of 8 x 1, though the rows differ in length."""
    give = teacher if settings else None
    whole = train(make_plan("8x1", micro_batch=8, **settings), give, silent)
    split = train(make_plan("1x8", micro_batch=1, **settings), give, silent)
    assert _losses(split) == pytest.approx(_losses(whole), abs=1e-5)
    norms = [[p["grad_norm"] for p in r.curve if "grad_norm" in p] for r in (whole, split)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)
    assert _largest_difference(whole, split) < 1e-4


def test_the_first_loss_is_the_written_formula(make_plan, base, teacher_folder):
    """Step 1 equals sum(w KD + ce CE) / supervised tokens worked out from whole logits."""
    plan = make_plan(count=8, steps=1, **DENSE)
    result = train(plan, lambda: LocalModel.load(teacher_folder), silent)
    ready = stage._prepare(plan)
    student = AutoModelForCausalLM.from_pretrained(base)
    reader = AutoModelForCausalLM.from_pretrained(teacher_folder)
    kd = ce = count = 0.0
    for row in ready.rows.rows:
        ids, labels = row.input_ids_T[None], row.labels_T
        keep = [at for at in range(len(labels) - 1) if labels[at + 1] != -100]
        width = len(ready.tokenizer)
        ours = student(ids).logits[0, keep].double()
        theirs = reader(ids).logits[0, keep, :width].double().log_softmax(-1)
        gap = theirs - ours[:, :width].log_softmax(-1)
        kd += float((theirs.exp() * gap).sum().detach())
        targets = labels[1:][labels[1:] != -100]
        ce -= float(ours.log_softmax(-1)[range(len(keep)), targets].sum().detach())
        count += len(keep)
    point = result.curve[0]
    assert result.loss_first == pytest.approx((0.9 * kd + 0.1 * ce) / count, rel=1e-4)
    assert point["kd_loss"] == pytest.approx(kd / count, rel=1e-4)
    assert point["ce_loss"] == pytest.approx(ce / count, rel=1e-4)
    assert result.supervised_tokens == count


def test_text_alone_takes_the_whole_weight(make_plan):
    """Without a signal the cross-entropy counts with weight + ce."""
    loss = {"kind": "forward_kl", "weight": 0.9, "ce": 0.1}
    plain = train(make_plan("plain", steps=2), None, silent)
    text = train(make_plan("text", steps=2, loss=loss), None, silent)
    double = train(make_plan("double", steps=2, loss={**loss, "weight": 1.9}), None, silent)
    assert text.loss_first == pytest.approx(plain.loss_first, rel=1e-5)
    assert double.loss_first == pytest.approx(2 * text.loss_first, rel=1e-5)
    assert "kd_loss" not in text.curve[0]


def test_remembered_and_live_teachers_agree(make_plan, teacher, monkeypatch):
    """Reading each row once beforehand gives the trajectory of asking at every step."""
    once = train(make_plan("once", steps=8, **DENSE), teacher, silent)
    monkeypatch.setattr(teacher_states, "MEMORY_BYTES", 0)
    live = train(make_plan("live", steps=8, **DENSE), teacher, silent)
    assert _losses(once) == pytest.approx(_losses(live), abs=1e-5)


@pytest.fixture
def with_dropout(base, tmp_path):
    """The untrained student with dropout in its attention."""
    folder = tmp_path / "dropout"
    shutil.copytree(base, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "attention_dropout": 0.2}))
    return str(folder)


def test_gradient_checkpointing_changes_nothing(make_plan, base):
    """Activations worked out twice give the same losses, for whole students and adapters."""
    for method in ("full", "lora"):
        student = {"model": base, "method": method, "lora": {"r": 2}}
        settings = {"steps": 3, "lr": 1e-2, "changes": {"student": student}}
        plain = train(make_plan(f"{method}-plain", **settings), None, silent)
        settings["trainer"] = {"gradient_checkpointing": True}
        saving = train(make_plan(f"{method}-saving", **settings), None, silent)
        for name in ("loss", "grad_norm"):
            curves = [[p[name] for p in r.curve if name in p] for r in (plain, saving)]
            assert curves[0] == pytest.approx(curves[1], rel=1e-4)


class _Stopped(Exception):
    pass


def _stop_at(step):
    def listen(progress):
        if progress.done == step:
            raise _Stopped

    return listen


@pytest.mark.parametrize("settings", [{}, DENSE], ids=["text", "dense"])
def test_an_interrupted_training_ends_as_if_it_had_not_been(
    make_plan, teacher, with_dropout, settings
):
    """With dropout, stopped after step 8 of 10, started again: bit-equal weights, same curve."""
    give = teacher if settings else None
    # 12 rows, 8 a step: step 8 ends within an epoch.
    settings = {"steps": 10, "micro_batch": 4, "count": 12, **settings}
    settings["changes"] = {"base": with_dropout}
    whole = train(make_plan("whole", **settings), give, silent)
    plan = make_plan("cut", **settings)
    with pytest.raises(_Stopped):
        train(plan, give, _stop_at(8))
    assert not (Path(plan.out_dir) / RESULT_FILE).exists()
    steps = []
    resumed = train(plan, give, lambda progress: steps.append(progress.done))
    assert min(steps) > 1
    assert _largest_difference(whole, resumed) == 0
    assert _losses(resumed) == _losses(whole)
    assert resumed.val_loss == whole.val_loss


def test_a_half_written_checkpoint_is_passed_over(make_plan):
    """A checkpoint without its last file is left; the one before it is taken."""
    plan = make_plan(steps=10)
    with pytest.raises(_Stopped):
        train(plan, None, _stop_at(9))
    newest = Path(plan.out_dir) / "checkpoints" / "checkpoint-8"
    (newest / "trainer_state.json").unlink()
    steps = []
    train(plan, None, lambda progress: steps.append(progress.done))
    assert steps[0] == 7


def test_what_a_logging_back_end_wrote_is_kept(make_plan):
    """Its folder lies beside the checkpoints, of which none is left."""
    plan = make_plan()
    logs = Path(plan.out_dir) / "checkpoints" / "runs" / "events"

    def listen(_):
        logs.parent.mkdir(parents=True, exist_ok=True)
        logs.write_text("written while it trained")

    train(plan, None, listen)
    assert logs.is_file()
    assert not list(logs.parents[1].glob("checkpoint-*"))


def test_a_finished_training_is_not_run_again(make_plan):
    """The result is read back; another plan in the same folder starts afresh."""
    plan = make_plan()
    first = train(plan, None, silent)
    shutil.rmtree(first.model_dir)
    assert train(plan, None, silent) == first
    other = train(replace(plan, seed=3), None, silent)
    assert other.loss_first != first.loss_first
    assert Path(other.model_dir).is_dir()


def test_a_changed_dataset_is_another_plan(make_plan, write_rows, records):
    """The rows' content decides, not the path."""
    plan = make_plan()
    before = plan.digest()
    write_rows(Path(plan.rows_path), records(15))
    assert plan.digest() != before
    assert replace(plan, out_dir="/elsewhere").digest() == plan.digest()


def test_plans_and_results_survive_json(make_plan, tmp_path):
    """What is written is what is read."""
    plan = make_plan(steps=1)
    plan.write(tmp_path / "plan.json")
    assert TrainPlan.read(tmp_path / "plan.json") == plan
    result = train(plan, None, silent)
    assert type(result).from_dict(json.loads(json.dumps(result.as_dict()))) == result


def test_validation_is_a_mean_over_tokens(make_plan, write_rows, records, tmp_path):
    """Validation is a sum over all tokens divided by their number, for any batch size."""
    val = write_rows(tmp_path / "val.jsonl", records(7))
    one = train(make_plan("one", micro_batch=1, changes={"val_path": val}), None, silent)
    all_ = train(make_plan("all", micro_batch=8, changes={"val_path": val}), None, silent)
    assert one.val_loss == pytest.approx(all_.val_loss, abs=1e-4)
    points = [point for point in all_.curve if "val_loss" in point]
    assert points[-1]["step"] == 6
    assert all_.val_loss == points[-1]["val_loss"]


def test_an_empty_validation_file_is_no_validation(make_plan, tmp_path):
    """A dataset too small for a validation row trains all the same."""
    (tmp_path / "val.jsonl").write_text("")
    result = train(
        make_plan(steps=1, changes={"val_path": str(tmp_path / "val.jsonl")}), None, silent
    )
    assert result.val_loss is None


def test_lora_trains_an_adapter_only(make_plan, base):
    """The adapter lies in its own folder, names its base, and loads onto it."""
    student = {"model": base, "method": "lora", "lora": {"r": 2, "alpha": 4, "dropout": 0.0}}
    plan = make_plan(steps=20, changes={"student": student}, lr=5e-2)
    result = train(plan, None, silent)
    assert Path(result.model_dir).name == "adapter"
    assert 0 < result.trainable_share < 0.5
    config = json.loads((Path(result.model_dir) / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == base
    assert (config["r"], config["lora_alpha"]) == (2, 4)
    assert result.loss_last < result.loss_first
    tuned = LocalModel.load(result.model_dir, dtype="float32")
    bare = LocalModel.load(base, dtype="float32")
    prompt = [[1, 40, 41]]
    assert tuned.choice_logp(prompt, ["red", "green"]) != bare.choice_logp(prompt, ["red", "green"])
    assert tuned.end_ids == bare.end_ids


def test_an_adapter_starts_from_the_seed(base):
    """Whatever was drawn in this process before it; another seed is another start."""
    spec = {"model": base, "method": "lora", "lora": {"r": 4}}
    student = TypeAdapter(Student).validate_python(spec)

    def start(seed):
        model = load_student(base, student, cpu=True, seed=seed)
        return [p.detach() for name, p in model.named_parameters() if "lora_A" in name]

    first = start(5)
    torch.rand(3)
    assert first
    assert all(torch.equal(one, other) for one, other in zip(first, start(5), strict=True))
    assert not any(torch.equal(one, other) for one, other in zip(first, start(6), strict=True))


def test_an_answer_cut_by_its_teacher_is_not_closed(make_plan, write_rows, records, tmp_path):
    """A row whose `<output>_finish` is `length` teaches no end token."""
    rows = records(2)
    rows[0]["fields"]["output_finish"] = "length"
    path = write_rows(tmp_path / "cut.jsonl", rows)
    ready = stage._prepare(make_plan(changes={"rows_path": path}))
    cut, closed = (row.labels_T.tolist() for row in ready.rows.rows)
    assert cut[-1] != 2
    assert closed[-1] == 2


def test_a_row_with_nothing_to_learn_is_named(make_plan):
    """A prompt that fills max_length is an error with the row's id."""
    with pytest.raises(DataError, match="row-00") as caught:
        train(make_plan(max_length=4), None, silent)
    assert "max_length" in caught.value.problems[0].found


def test_a_teacher_with_another_vocabulary_is_refused(make_plan, student, tmp_path):
    """Same size, other pieces: the message says how much differs and what to do."""
    from distill.train.initialise import make_student

    other = make_student(student, None, ["zebra quickly jumps"] * 9, 1, tmp_path / "other")
    with pytest.raises(RecipeError) as caught:
        train(make_plan(**DENSE), lambda: LocalModel.load(other), silent)
    problem = caught.value.problems[0]
    assert "under the same id" in problem.found
    assert "signal: text" in problem.fix


def test_a_live_teacher_that_only_guesses_is_refused(make_plan, base):
    """Before the first step, with its loss, that of a guess, and what to look at."""
    for name in ("forward_kl", "reverse_kl"):
        loss = {"kind": name, "weight": 1.0, "ce": 0.0}
        plan = make_plan(name, signal={"kind": "dense"}, loss=loss)
        with pytest.raises(RecipeError, match="worse than a guess") as told:
            train(plan, lambda: _shifted(base), silent)
        [problem] = told.value.problems
        assert "nats per token" in problem.found
        assert "chat template" in problem.fix
        assert not (Path(plan.out_dir) / "model").exists()


def _shifted(folder):
    """A model whose output layer speaks of other tokens than its vocabulary has."""
    teacher = LocalModel.load(folder)
    with torch.no_grad():
        teacher.model.lm_head.weight.mul_(20)
    return teacher


def test_a_dense_signal_needs_a_teacher(make_plan):
    """Without one the plan is refused before anything is loaded."""
    with pytest.raises(RecipeError, match="needs a local teacher"):
        train(make_plan(**DENSE), None, silent)


@pytest.mark.parametrize("kind", ["reverse_kl", "jsd"])
def test_other_losses_bring_the_student_to_the_teacher(make_plan, teacher, kind):
    """Every divergence falls when it is trained on."""
    loss = {"kind": kind, "weight": 1.0, "ce": 0.0}
    result = train(
        make_plan(steps=40, lr=1e-2, signal={"kind": "dense"}, loss=loss), teacher, silent
    )
    kd = [point["kd_loss"] for point in result.curve if "kd_loss" in point]
    assert kd[-1] < 0.7 * kd[0]
    assert math.isfinite(result.loss_last)


def test_weights_stay_float32(make_plan):
    """A student trained on a CPU is saved as it was trained."""
    result = train(make_plan(steps=1), None, silent)
    assert {weight.dtype for weight in _weights(result).values()} == {torch.float32}
