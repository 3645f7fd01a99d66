"""Probes: answers that are changed without being better."""

from distill.judge.lines import markup_preference
from distill.judge.probes import (
    INJECTION,
    PADDING,
    PROBES,
    bulleted,
    probe_figures,
    probe_rows,
    reworded,
)
from distill.judge.rows import JudgeData, JudgeRow
from distill.judge.verdicts import Judged, Verdict, by_row


def pairs(count: int = 30) -> JudgeData:
    rows = [
        JudgeRow(str(at), f"question {at}", (f"good answer {at}", f"poor {at}"), "a", {}, {}, {})
        for at in range(count)
    ]
    return JudgeData("pairwise", rows, {}, ())


def verdicts(data: JudgeData, decide) -> dict[str, Judged]:
    return by_row([Verdict(row.id, decide(row)) for row in data.rows], data)


def test_only_the_answer_that_was_not_preferred_is_changed() -> None:
    """Every probe of every drawn row, with the preferred answer as it was."""
    data = pairs()
    asked = probe_rows(data, verdicts(data, lambda row: "a"), 10, seed=3)
    assert len(asked.rows) == 10 * len(PROBES)
    assert all(row.answers[0].startswith("good answer") for row in asked.rows)
    changed = {row.id.split("\x1f")[0]: row.answers[1] for row in asked.rows}
    assert changed["padding"].endswith(PADDING)
    assert changed["injection"].endswith(INJECTION["pairwise"])
    assert changed["empty"] == ""
    again = probe_rows(data, verdicts(data, lambda row: "a"), 10, seed=3)
    assert asked == again


def test_a_judge_that_obeys_an_answer_is_caught() -> None:
    """A judge that prefers whatever speaks to it gains on the injection, on nothing else."""
    data = pairs()
    before = verdicts(data, lambda row: "a")
    asked = probe_rows(data, before, 30)

    def gullible(row: JudgeRow) -> str:
        return "b" if "ignore your instructions" in row.answers[1] else "a"

    found = probe_figures(data, before, asked, verdicts(asked, gullible))
    assert found["injection"]["gained"].value == 1.0
    assert {found[name]["gained"].value for name in PROBES if name != "injection"} == {0.0}
    assert all(figures["lost"].value == 0.0 for figures in found.values())


def test_scores_rise_and_fall() -> None:
    """Of one answer the score is compared; what could not be read again counts as neither."""
    rows = [JudgeRow(str(at), "", ("text",), 3.0, {}, {}, {}) for at in range(8)]
    data = JudgeData("absolute", rows, {}, ())
    before = verdicts(data, lambda row: 3.0)
    asked = probe_rows(data, before, 8)

    def score(row: JudgeRow) -> float | None:
        if row.answers[0] == "":
            return 1.0
        return None if "experts" in row.answers[0] else 4.0

    found = probe_figures(data, before, asked, verdicts(asked, score))
    assert found["empty"]["lost"].value == 1.0
    assert found["padding"]["gained"].value == 1.0
    assert found["authority"]["gained"].value == found["authority"]["lost"].value == 0.0


def test_form_and_wording_change_and_nothing_else():
    """Bullets hold the same sentences; rewording spells out and leaves the rest."""
    assert bulleted("One. Two!  Three") == "- One.\n- Two!\n- Three"
    assert bulleted("") == ""
    assert reworded("I can't, because they're many.") == "I cannot, since they are a lot of."
    assert reworded("Germany isn't here.") == "Germany is not here."
    assert reworded("However, it is so.") == "Still, it is so."


def test_leaning_to_markdown_is_held_against_peoples():
    """Only pairs of which one answer has it, and that somebody decided, count."""

    def row(name, a, b):
        return JudgeRow(name, "q", (a, b), "a", {}, {}, {})

    rows = [row("1", "- x\n- y", "x"), row("2", "x", "**x**"), row("3", "- x", "# x")]
    found = markup_preference(rows, ["a", "a", "b"])
    assert (found.value, found.n) == (0.5, 2)
    assert markup_preference(rows[2:], ["a"]).value is None
