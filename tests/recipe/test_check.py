import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from distill.errors import Problem
from distill.recipe.check import check
from distill.recipe.expand import expand
from distill.recipe.load import load_recipe

Write = Callable[..., Path]
POOL = "{strategy: label_pool, ask: big}"
STUDENT = """\
student: {init: scratch, config: {model_type: llama}, tokenizer: {bpe: 300}}
train: {lr: 1e-3, steps: 2}
evaluate: {compare: [hard_labels]}
"""
TRAIN = ("split: {train: 0.8, val: 0.2}\n", "split: {train: 0.8, val: 0.2}\n" + STUDENT)
LOCAL = (
    "  big: {kind: scripted}",
    "  big: {kind: scripted}\n  loc: {kind: local, model: some/hub}",
)


def read(path: Path) -> list[tuple[int | None, Mapping[str, Any]]]:
    """A small reader of JSONL and plain CSV: `check` takes whatever reads data."""
    lines = path.read_text().splitlines()
    if path.suffix == ".jsonl":
        return [(at, json.loads(line)) for at, line in enumerate(lines, 1)]
    header = lines[0].split(",")
    return [
        (at, dict(zip(header, line.split(","), strict=True)))
        for at, line in enumerate(lines[1:], 2)
    ]


def found(path: Path, environ: Mapping[str, str] | None = None) -> list[Problem]:
    return check(load_recipe(path), environ or {}, read).problems


def test_good_recipes_pass(write: Write) -> None:
    """A right recipe has no problem, expanded or not, and its filters' order is noted."""
    recipe = load_recipe(write(TRAIN))
    for form in (recipe, expand(recipe)):
        report = check(form, {}, read)
        assert (report.problems, report.missing_keys) == ([], [])
        assert report.notes == [
            "filters, in order: length, refusal, not_in_gold (added: there is gold)"
        ]


def test_without_a_reader_it_says_what_was_not_looked_into(write: Write) -> None:
    """Without a reader the content of data files is not checked, and a note says so."""
    report = check(load_recipe(write(("output: label", "output: intent"))), {})
    assert report.problems == []
    assert "not looked into: pool, gold" in report.notes


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("ask: big", "ask: bog", "generate.ask", "Did you mean 'big'"),
        ("pool.csv", "pol.csv", "data.pool", "Did you mean 'pool.csv'"),
        ("input: text", "input: body", "data.pool", "no column 'body'"),
        ("output: label", "output: intent", "data.gold", "no column 'intent'"),
        ("[billing, bug]", "[billing, crash]", "data.gold", "'bug' on line 2"),
        ("{pool: pool.csv, gold", "{gold", "data.pool", "nothing to label"),
        ("- refusal", "- agree: {field: lable}", "filter.1.agree.field", "Did you mean 'label'"),
        ("- refusal", "- regex", "filter.1.regex", "no pattern"),
        ("- refusal", "- regex: {match: '['}", "filter.1.regex.match", "regular expression"),
        ("- refusal", "- length", "filter.1.length", "no bounds"),
        ("- refusal", "- length: {words: [9, 1]}", "filter.1.length.words", "least and a most"),
        (
            "- refusal",
            "- format: {json_schema: {type: 3}}",
            "filter.1.format.json_schema",
            "Schema",
        ),
        ("val: 0.2", "val: 0.2, keep_together: [sed]", "split.keep_together.0", "'seed'"),
        ("bug]}", "bug], prompt: '{{ nope }}'}", "task.prompt", "'nope'"),
        ("bug]}", "bug], prompt: nope.md}", "task.prompt", "no file"),
        (POOL, "{fields: {}}", "generate", "nothing is generated"),
        (POOL, "{strategy: self_instruct, ask: big, accept: 3}", "data.seeds", "no"),
        (POOL, "{strategy: label_pool}", "generate.ask", "needs a teacher"),
    ],
)
def test_one_problem_with_key_and_place(
    write: Write, old: str, new: str, key: str, words: str
) -> None:
    """Each mistake is found where it stands, with a file and a line."""
    hits = [problem for problem in found(write((old, new))) if problem.key == key]
    assert len(hits) == 1
    assert words in str(hits[0])
    assert hits[0].file
    assert hits[0].line


@pytest.mark.parametrize(
    ("field", "key", "words"),
    [
        ("a: {render: '{{ b }}'}, b: {render: x}", "a.render", "a later step makes"),
        ("a: {render: '{{ txet }}'}", "a.render", "Did you mean 'text'"),
        ("a: {render: '{% if %}'}", "a.render", "not a template"),
        ("a: {ask: bog, prompt: x}", "a.ask", "no teacher"),
        ("a: {ask: big, prompt: nope.md}", "a.prompt", "no file"),
        ("a: {ask: big, prompt: x, choices: lables}", "a.choices", "unknown choices"),
        ("a: {sample: nope.txt}", "a.sample", "no file"),
        ("a: {sample: []}", "a.sample", "0 values"),
        ("a: {sample: seeds}", "a.sample", "no seeds"),
        ("a: {sample: labels, by: nope}", "a.by", "neither a sampled field"),
        ("a: {sample: by.yaml, by: b}, b: {sample: labels}", "a.sample", "no entry for 'bug'"),
        ("a: {sample: by.yaml}", "a.sample", "not a list"),
        ("a: {python: 'no_such:f'}", "a.python", "no module 'no_such'"),
    ],
)
def test_fields(write: Write, folder: Path, field: str, key: str, words: str) -> None:
    """A field that cannot be made is found before anybody is asked."""
    (folder / "by.yaml").write_text("billing: [x]\n")
    own = f"{{fields: {{{field}, label: {{ask: big, prompt: '{{{{ text }}}}', choices: labels}}}}}}"
    hits = found(write((POOL, own)))
    assert [problem.key for problem in hits] == [f"generate.fields.{key}"]
    assert words in str(hits[0])


def test_companions_and_earlier_fields_are_known(write: Write, folder: Path) -> None:
    """Templates may name earlier fields and what is recorded beside them."""
    (folder / "s.jsonl").write_text('{"text": "a"}\n')
    own = (
        "{accept: 1, fields: {s: {sample: seeds}, "
        "label: {ask: big, prompt: '{{ s.text }} {{ s_id }}', votes: 3, truncated: accept}, "
        "x: {render: '{{ label_votes }} {{ label_p }} {{ label_finish }}'}}}"
    )
    assert found(write((POOL, own), ("data: {", "data: {seeds: s.jsonl, "))) == []


@pytest.mark.parametrize(
    ("engine", "keys"),
    [
        ("{engine: ray}", []),
        ("{engine: ray, address: 'head:6379'}", []),
        ("{engine: ray, address: 'ray://head:10001'}", ["run.address"]),
        ("{address: 'head:6379'}", ["run.address"]),
    ],
)
def test_the_address_of_a_cluster(write: Write, engine: str, keys: list[str]) -> None:
    """An address belongs to the engine ray, and names a cluster that the command is part of."""
    problems = found(write(TRAIN, ("evaluate:", f"run: {engine}\nevaluate:")))
    assert [problem.key for problem in problems if str(problem.key).startswith("run.")] == keys


def test_batches_take_one_address(write: Write) -> None:
    """A pool of addresses cannot be asked by batch; one address can."""
    for url, keys in (
        ("http://h/v1", []),
        ("['http://h/v1', 'http://i/v1']", ["teachers.big.mode"]),
    ):
        batch = f"kind: openai, model: m, base_url: {url}, mode: batch"
        problems = found(write(TRAIN, ("kind: scripted", batch)))
        assert [p.key for p in problems if "address" in p.found] == keys


def test_four_bits_need_their_package(write: Write) -> None:
    """`quantize` without bitsandbytes is a missing package with the line to type."""
    quantized = ("{kind: scripted}", "{kind: local, model: some/hub, quantize: 4bit}")
    report = check(load_recipe(write(quantized)), {})
    if find_spec("bitsandbytes") is None:
        assert "pip install 'distill-kit[quant]'" in str(report.missing_keys[0])
    else:
        assert report.missing_keys == []


def test_signal_needs_one_local_teacher_of_the_same_vocabulary(write: Write) -> None:
    """A dense signal comes from exactly one local teacher, and the student reads its tokens."""
    dense = ("steps: 2", "steps: 2, signal: {kind: dense}")
    assert "local teacher" in str(found(write(TRAIN, dense))[0])
    assert [p.key for p in found(write(TRAIN, LOCAL, dense))] == ["student.tokenizer"]
    shared = ("tokenizer: {bpe: 300}", "tokenizer: loc")
    assert found(write(TRAIN, LOCAL, dense, shared)) == []
    two = ("task:", "  other: {kind: local, model: x}\ntask:")
    assert "several" in str(found(write(TRAIN, LOCAL, dense, shared, two))[0])
    wrong = ("steps: 2", "steps: 2, signal: {kind: dense, from: big}")
    assert "kind scripted" in str(found(write(TRAIN, LOCAL, wrong, shared))[0])
    unknown = ("steps: 2", "steps: 2, signal: {kind: dense, from: lok}")
    assert "'loc'" in str(found(write(TRAIN, LOCAL, unknown, shared))[0])


def test_vocabularies_are_compared_where_they_can_be_read(write: Write, folder: Path) -> None:
    """Two tokenizers of one size and different pieces are told apart."""
    for name, pieces in (("one", {"a": 0, "b": 1}), ("two", {"a": 0, "c": 1})):
        (folder / name).mkdir()
        (folder / name / "tokenizer.json").write_text(json.dumps({"model": {"vocab": pieces}}))
    local = ("  big: {kind: scripted}", "  big: {kind: scripted}\n  loc: {kind: local, model: one}")
    dense = ("steps: 2", "steps: 2, signal: {kind: dense}")
    for name, count in (("one", 0), ("two", 1)):
        path = write(TRAIN, local, dense, ("tokenizer: {bpe: 300}", f"tokenizer: {name}"))
        assert len(found(path)) == count


def test_confident_labels_need_probabilities(write: Write) -> None:
    """hard_labels_confident needs votes, a local teacher or log-probabilities."""
    confident = ("[hard_labels]", "[hard_labels_confident]")
    assert "no probability" in str(found(write(TRAIN, confident))[0])
    assert found(write(TRAIN, confident, ("scripted", "scripted, logprobs: 5"))) == []
    own = "{fields: {label: {ask: big, prompt: x, choices: labels, votes: 3}}}"
    assert found(write(TRAIN, confident, (POOL, own))) == []


def test_keys_and_prices(write: Write) -> None:
    """Missing keys are kept apart from problems; a USD cap needs a known price."""
    openai = ("kind: scripted", "kind: openai, model: gpt-4.1")
    report = check(load_recipe(write(openai)), {}, read)
    assert report.problems == []
    assert "export OPENAI_API_KEY" in str(report.missing_keys[0])
    assert check(load_recipe(write(openai)), {"OPENAI_API_KEY": "x"}, read).missing_keys == []
    own = "kind: openai, model: x, base_url: 'http://h:1/v1'"
    capped = ("data:", "budget: {usd: 1}\ndata:")
    assert "price" in str(found(write(("kind: scripted", own), capped))[0])
    priced = f"{own}, price: {{input: 0, output: 0}}"
    report = check(load_recipe(write(("kind: scripted", priced), capped)), {}, read)
    assert (report.problems, report.missing_keys) == ([], [])
    pasted = ("kind: scripted", f"{own}, headers_env: {{A: Bearer sk-secret}}")
    report = check(load_recipe(write(pasted)), {}, read)
    assert "sk-secret" not in str(report)
    assert [problem.key for problem in report.problems] == ["teachers.big.headers_env"]


def test_teacher_from_a_recipe(write: Write, folder: Path) -> None:
    """A teacher that another recipe trains needs one that loads, trains, and is not this one."""
    use = ("tokenizer: {bpe: 300}", "tokenizer: loc")
    (folder / "t.yaml").write_text("version: 1\nname: t\ntask: {kind: generate}\n")
    for ref, words in (
        ("nope.yaml", "no file"),
        ("t.yaml", "no student"),
        ("recipe.yaml", "itself"),
    ):
        local = (LOCAL[0], LOCAL[1].replace("model: some/hub", f"recipe: {ref}"))
        assert words in str(found(write(TRAIN, local, use))[0])


def test_labels_in_gold_are_listed(write: Write, folder: Path) -> None:
    """At most three wrong labels are shown, with their lines, and the rest is counted."""
    rows = [{"text": "a", "label": label} for label in ("bug", "Bug", None, "x", "y", "z")]
    (folder / "gold.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (problem,) = found(write())
    assert problem.line == 2
    assert problem.found.endswith(
        "'Bug' on line 2; nothing on line 3; 'x' on line 4 and 2 more rows"
    )
    assert problem.fix == "Did you mean 'bug'?"


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"train.loss": {"kind": "verdict"}}, "train.loss"),
        ({"train.packing": True}, "train.packing"),
        ({"train.objective": "clm"}, "train.objective"),
        ({"task": {"kind": "generate", "input": "text", "output": "label"}}, "student.kind"),
    ],
)
def test_what_a_classifier_cannot_do(more, key):
    """Losses without labels, settings of texts and tasks without labels are named."""
    from distill.recipe.check_classifier import check_classifier
    from distill.recipe.findings import Findings
    from distill.recipe.schema import Recipe

    plain = {
        "name": "c",
        "task": {"kind": "classify", "labels": ["a", "b"]},
        "student": {"kind": "classifier", "model": "bert-base-uncased"},
        "train": {},
    }
    for path, value in more.items():
        *above, last = path.split(".")
        place = plain
        for part in above:
            place = place[part]
        place[last] = value
    findings = Findings(Recipe.model_validate(plain))
    check_classifier(findings.recipe, findings)
    assert [problem.key for problem in findings.problems] == [key]


@pytest.mark.parametrize("deepspeed", ["zero3", "{zero_optimization: {stage: 3}}", "ds.json"])
def test_sharded_4_bit_weights_have_one_type(write: Write, folder: Path, deepspeed: str) -> None:
    """Under ZeRO-3 the storage type of quantised weights must be the one they are computed in."""
    (folder / "ds.json").write_text('{"zero_optimization": {"stage": 3}}')
    student = "{model: some/hub-id, method: qlora, quantization: {bnb_4bit_quant_storage: uint8}}"
    old = "{init: scratch, config: {model_type: llama}, tokenizer: {bpe: 300}}"
    sharded = ("steps: 2", f"steps: 2, deepspeed: {deepspeed}")
    [problem] = found(write(TRAIN, (old, student), sharded))
    assert problem.key == "student.quantization.bnb_4bit_quant_storage"
    assert problem.allowed == "bfloat16"
    assert found(write(TRAIN, (old, student), ("steps: 2", "steps: 2, deepspeed: zero2"))) == []
    both = student.replace("uint8", "float16, bnb_4bit_compute_dtype: float16")
    assert found(write(TRAIN, (old, both), sharded)) == []
    [problem] = found(write(TRAIN, (old, both.replace("qlora", "lora"))))
    assert problem.key == "student.quantization"


def test_gold_that_was_made_from_suggestions_is_refused(write: Write, folder: Path) -> None:
    """Reviewers who saw the model's answer flatter it; the recipe may take it all the same."""
    (folder / "gold.jsonl").write_text(
        '{"text": "refund", "label": "billing", "saw_suggestion": false}\n'
        '{"text": "error 7", "label": "bug", "saw_suggestion": true}\n'
    )
    (problem,) = found(write())
    assert (problem.key, problem.line) == ("data.gold", 2)
    assert "reviewers saw the model's answer in line 2" in problem.found
    forced = (TRAIN[0], TRAIN[1].replace("evaluate: {", "evaluate: {suggested_gold: true, "))
    assert not found(write(forced))


def test_an_adapter_that_could_not_be_merged_is_told_before_training(folder, write):
    """LoRA on a head that is the embeddings too, where export merges it; else it may be."""
    (folder / "base").mkdir()
    config = folder / "base" / "config.json"
    student = "student: {model: ./base, method: lora, lora: {LORA}}\ntrain: {steps: 2}\n"

    def keys(lora, tied=True, export="export: {license: mit}\n"):
        config.write_text(json.dumps({"model_type": "llama", "tie_word_embeddings": tied}))
        split = "split: {train: 0.8, val: 0.2}\n"
        path = write((split, split + student.replace("LORA", lora) + export))
        found = check(load_recipe(path), {}).problems
        return [one.key for one in found if (one.key or "").startswith("student.lora")]

    on_head = "target_modules: [q_proj, lm_head]"
    assert keys(on_head) == ["student.lora.target_modules"]
    assert keys("modules_to_save: [lm_head]") == ["student.lora.modules_to_save"]
    assert keys(on_head, tied=False) == keys("r: 2") == keys(on_head, export="") == []
    assert keys(on_head, export="export: {merge: false, license: mit}\n") == []
