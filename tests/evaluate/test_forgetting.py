"""The before/after suite: bits per byte and questions by likelihood, paired over the items."""

import math

import pytest

from distill.evaluate.forgetting import (
    Measure,
    Question,
    Score,
    forgetting_part,
    forgotten,
    read_questions,
    read_texts,
    score_questions,
    score_texts,
)
from distill.evaluate.harness import harness_scores
from teachers.protocol import user


def parting(model):
    """The model with a tokenizer that parts texts at white space."""
    from tokenizers import pre_tokenizers

    model.tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return model


def test_the_bundled_questions_are_sound() -> None:
    """Sixty questions in four topics, each with four different choices, none asked twice."""
    questions = read_questions()
    assert len(questions) == 60
    assert {q.topic for q in questions} == {"arithmetic", "facts", "grammar", "instructions"}
    assert all(len(set(q.choices)) == 4 for q in questions)
    assert len({(q.text, q.choices) for q in questions}) == 60


def test_bits_of_a_model_that_knows_nothing(tiny_model) -> None:
    """A uniform model needs log2(vocabulary) bits a token, of long texts too."""
    model = parting(tiny_model(1))
    model.model.lm_head.weight.data.zero_()
    long = " ".join(["w3"] * 150)  # more than the model's 64 positions
    [short, cut] = score_texts(model, ["w1 w2 é", long])
    assert short.value == pytest.approx(3 * math.log2(20), rel=1e-5)
    assert short.weight == 8  # é takes two bytes
    assert cut.value == pytest.approx(150 * math.log2(20), rel=1e-5)


def test_a_model_without_a_start_token_has_no_bits(tiny_model) -> None:
    """Where no token begins a text there is nothing to predict the first token from."""
    model = tiny_model(1)
    model.tokenizer.eos_token = None
    model.end_ids = ()
    assert score_texts(model, ["w1"]) is None


def test_a_question_is_right_when_its_first_choice_is_likeliest(tiny_model) -> None:
    """Whichever choice the model's own log-probabilities favour decides."""
    model = parting(tiny_model(4))
    prompt = model.prompt_ids(user("Question: w5 w6\nAnswer:"))
    choices = [" w7", " w8", " w9"]
    [logp] = model.choice_logp([prompt], choices)
    best = max(choices, key=logp.__getitem__)
    rest = [c for c in choices if c != best]
    right, wrong = (
        Question("t", "w5 w6", tuple(c.strip() for c in order))
        for order in ([best, *rest], [*rest, best])
    )
    assert score_questions(model, [right, wrong]) == [Score(1.0), Score(0.0)]


def test_differences_are_paired_and_signed() -> None:
    """More bits and fewer right answers are worse; a change that may be chance is not called so."""
    before = {"text": [Score(8.0 + at % 3, 10.0) for at in range(30)],
              "questions": [Score(float(at % 2)) for at in range(40)]}  # fmt: skip
    after = {"text": [Score(s.value + 1.0, 10.0) for s in before["text"]],
             "questions": [Score(1.0 - s.value if at < 2 else s.value)
                           for at, s in enumerate(before["questions"])]}  # fmt: skip
    measures = {"text": Measure("bits_per_byte", lower_is_better=True),
                "questions": Measure("accuracy", chance=0.25)}  # fmt: skip
    topics = {"questions": ["a", "b"] * 20}
    part = forgetting_part([before], [after], measures, topics)
    difference = part["text"]["difference"]
    assert difference["value"] == pytest.approx(0.1)
    assert difference["low"] == pytest.approx(0.1)  # every text lost the same
    assert part["text"]["worse"] is True
    assert part["questions"]["worse"] is False
    assert part["questions"]["by_topic"]["a"]["student"]["n"] == 20
    assert [line.split()[0] for line in forgotten(part)] == ["text"]


def test_seeds_are_averaged() -> None:
    """With several seeds a figure holds their mean, and says how many there were."""
    runs = [{"questions": [Score(share)] * 4} for share in (0.0, 1.0)]
    found = forgetting_part(runs, list(reversed(runs)), {"questions": Measure("accuracy")}, {})
    assert found["questions"]["student"]["value"] == 0.5
    assert found["questions"]["difference"]["seeds"] == 2
    assert found["questions"]["difference"]["value"] == 0.0


def test_the_users_own_texts_are_read(tmp_path) -> None:
    """A file with a column `text`, or lines of plain text."""
    (tmp_path / "a.jsonl").write_text('{"id": 1, "text": "one"}\n{"id": 2, "text": "two"}\n')
    (tmp_path / "b.txt").write_text("one\ntwo\n")
    assert read_texts(tmp_path / "a.jsonl") == read_texts(tmp_path / "b.txt") == ["one", "two"]


def test_the_missing_harness_says_what_to_type(monkeypatch, tiny_model) -> None:
    """Without the package the error names the extra."""
    import sys

    from distill.errors import PrerequisiteError

    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(PrerequisiteError, match=r"pip install 'distill-kit\[lm-eval\]'"):
        harness_scores(tiny_model(1), ["arc_easy"])
