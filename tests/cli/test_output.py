"""How progress and results are printed."""

import pytest

from distill.cli.output import Output, take_flags
from distill.errors import Problem, UsageError
from distill.progress import Progress


@pytest.mark.parametrize(
    ("args", "rest", "flags"),
    [
        (["--json", "run", "r"], ["run", "r"], (True, False, False)),
        (["run", "r", "--quiet", "--debug"], ["run", "r"], (False, True, True)),
        (["why", "--", "--json"], ["why", "--", "--json"], (False, False, False)),
    ],
)
def test_flags_are_taken_wherever_they_stand(args, rest, flags):
    """All but what follows `--` belongs to the command itself."""
    output, left = take_flags(args)
    assert left == rest
    assert (output.as_json, output.quiet, output.debug) == flags


def test_progress_off_a_terminal(capsys):
    """A line when a stage begins and ends and for every note, none for each step."""
    with Output().progress() as listen:
        for done in range(1, 101):
            listen(Progress("train", done, 100, {"loss": 1 / done}))
        listen(Progress("export", 1, 1, note="up to date"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "train: 1/100  loss 1", "train: 100/100  loss 0.01", "export: up to date",
    ]  # fmt: skip


def test_progress_on_a_terminal(monkeypatch, capsys):
    """Bars, one per stage, and notes above them."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with Output().progress() as listen:
        listen(Progress("generate", 1, None, {"accepted": 1}))
        listen(Progress("generate", 4, 4, {"accepted": 3, "usd": 0.25}))
        listen(Progress("teacher", 0, note="[big] is trained first"))
    out, err = capsys.readouterr()
    assert out == ""
    assert "[big] is trained first" in err
    assert "accepted 3  usd 0.25" in err


def test_one_line_per_problem(capsys):
    """However long or broken the text is."""
    problems = [Problem("one\nand two", "r.yaml", 3, "a.b", "c", "Do it."), Problem("three")]
    Output().error(UsageError("both", problems))
    assert capsys.readouterr().err.splitlines() == [
        "error: r.yaml:3: a.b: one and two (allowed: c). Do it.", "error: three",
    ]  # fmt: skip


def test_quiet_prints_no_result(capsys):
    """--quiet keeps results to itself, --json prints the object all the same."""
    Output(quiet=True).result({"a": 1}, "text")
    Output(quiet=True, as_json=True).result({"a": 1}, "text")
    assert capsys.readouterr().out == '{"a": 1}\n'
