"""A model that ends its texts with another token than its tokenizer's eos: stories260k."""

import asyncio
import json

import pytest
from pydantic import TypeAdapter

from distill.recipe.student import Student
from distill.rows.encode import encode
from distill.train.rows import RowFormat, encode_file
from distill.train.student import load_student_tokenizer
from teachers.chat_format import closing_id, end_ids
from teachers.config import LocalTeacher
from teachers.local import LocalAdapter
from teachers.protocol import Ask, Message, user

END, EOS = 1, 2
OPENINGS = ("Once upon a time", "Lily had a red ball.", "Tom and his dog ran home. The end")


@pytest.fixture(scope="module")
def stories260k(real):
    """The folder of the model."""
    return str(real / "models" / "stories260k")


@pytest.fixture(scope="module")
def answers(stories260k):
    """Continuations of a few openings, drawn with several seeds, at most 400 tokens each."""
    config = LocalTeacher(
        kind="local", model=stories260k, chat=False, temperature=0.8, max_tokens=400
    )

    async def ask_all():
        adapter = LocalAdapter(config, "stories")
        asks = [
            Ask(user(text), sample=n, allow_truncated=True) for text in OPENINGS for n in (0, 1)
        ]
        try:
            return await asyncio.gather(*(adapter.ask(ask) for ask in asks))
        finally:
            await adapter.close()

    return asyncio.run(ask_all())


def test_story_ends_at_the_models_own_token(answers):
    """Stories end by token 1 with finish `stop`; none runs on into the next one."""
    ended = [answer for answer in answers if answer.finish == "stop"]
    assert ended
    assert all(answer.usage.output_tokens <= 400 for answer in ended)
    assert all(answer.text.rstrip()[-1] in '.!?"' for answer in ended)
    assert not any("<s>" in answer.text or "</s>" in answer.text for answer in answers)
    assert not any("Once upon a time" in answer.text for answer in ended)


def test_the_same_story_runs_on_without_the_rule(stories260k, answers):
    """What follows where only the tokenizer's eos ends a story: another story, in one answer."""
    from teachers.local_model import LocalModel

    model = LocalModel.load(stories260k, chat=False)
    assert model.end_ids == (END, EOS)
    assert model.tokenizer.eos_token_id == EOS
    config = model.model.generation_config
    config.eos_token_id = [EOS]
    model.end_ids = (EOS,)
    prompt = [END, *model.tokenizer(OPENINGS[0], add_special_tokens=False)["input_ids"]]
    [answer] = model.generate([prompt], max_tokens=480, temperature=0.0, top_p=1.0, seeds=[0])
    assert END in answer.ids
    assert answer.finish == "length"
    model.release()


def test_students_close_their_rows_with_it(stories260k, answers, tmp_path):
    """A row of a finished story ends with token 1, to be learnt; one cut off ends in mid-text."""
    student = TypeAdapter(Student).validate_python({"model": stories260k})
    tokenizer, generation = load_student_tokenizer(stories260k, student)
    ends = end_ids(tokenizer, generation)
    assert closing_id(tokenizer, chat=False, ends=ends) == END

    turns = (user(OPENINGS[0])[0], Message("assistant", answers[0].text))
    found = encode(tokenizer, turns, chat=False, end_id=ends[0], max_length=512)
    assert (found.ids[0], found.ids[-1], found.supervised[-1]) == (END, END, True)
    assert EOS not in found.ids

    path = tmp_path / "train.jsonl"
    write_rows(path, {"a": "stop", "b": "length"}, answers[0].text)
    closed, cut = encode_file(path, RowFormat(tokenizer, False, END, "story", 512)).rows
    assert closed.labels_T[-1] == END
    assert cut.labels_T[-1] != END
    assert len(closed.labels_T) == len(cut.labels_T) + 1


def write_rows(path, finish, text):
    """A dataset file whose rows have the same text and end as `finish` says."""
    turns = [{"role": "user", "content": OPENINGS[0]}, {"role": "assistant", "content": text}]
    rows = [
        {"id": name, "messages": turns, "fields": {"story": text, "story_finish": how}}
        for name, how in finish.items()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
