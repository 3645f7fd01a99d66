"""custom."""

import pytest

from distill.errors import RecipeError, RunError

CODE = """
def short(fields):
    return len(fields["text"]) < 4

def share(fields):
    return len(fields["text"]) / 10

def told(fields):
    return False, "too_" + fields["text"]

def breaks(fields):
    return fields["nothing"]

def strange(fields):
    return ["x"]

async def asks(fields, ask):
    return await ask(f"Is {fields['text']} good?", choices=["yes", "no"]) == "yes"
"""


@pytest.fixture
def found(reasons, tmp_path):
    """The reasons of a function of the file over two rows."""
    (tmp_path / "mine.py").write_text(CODE)

    def run(name, *, place="mine.py", teachers=None, **more):
        filter = {"custom": {"python": f"{place}:{name}", **more}}
        rows = ({"text": "abc"}, {"text": "abcdef"})
        return reasons(filter, *rows, source=tmp_path, teachers=teachers)

    return run


def test_what_a_function_may_return(found):
    """A truth value, a score that `min` is compared with, a reason; a module or a file."""
    assert found("short") == [None, "custom"]
    assert found("short", place="mine") == [None, "custom"]
    assert found("share", min=0.5) == ["custom", None]
    assert found("told") == ["custom:too_abc", "custom:too_abcdef"]


def test_a_function_that_breaks_ends_the_run(found):
    """It names the row: hiding the fault would drop rows for nothing."""
    with pytest.raises(RunError, match=r"mine\.py:breaks broke on row 000: KeyError"):
        found("breaks")
    with pytest.raises(RunError, match="list is no answer"):
        found("strange")


def test_a_function_may_ask_a_teacher(found, teachers):
    """It is given an `ask` that goes to the named teacher."""
    big = teachers({"when": "abcdef", "answers": ["no"]}, {"when": ".", "answers": ["yes"]})
    assert found("asks", ask="big", teachers=big) == [None, "custom"]
    assert len(big["big"].asked) == 2


def test_code_that_cannot_be_loaded(found, tmp_path):
    """The message says where and why."""
    with pytest.raises(RecipeError, match=r"no module .nowhere"):
        found("x", place="nowhere")
    (tmp_path / "bad.py").write_text("1 / 0")
    with pytest.raises(RecipeError, match="ZeroDivisionError"):
        found("x", place="bad.py")
