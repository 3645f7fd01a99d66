"""Wrong answers in clusters of like inputs."""

from distill.evaluate.failures import AnsweredRow, failure_modes


def row(at: int, text: str, expected: str, answered: str | None, **slices: str) -> AnsweredRow:
    wrong = answered != expected
    return AnsweredRow("val", str(at), text, expected, answered, wrong, slices)


def mixed() -> list[AnsweredRow]:
    """Half of the refunds fail as bugs; logins are right; some prints have no answer."""
    rows = []
    for at in range(20):
        said = "bug" if at % 2 else "billing"
        rows.append(row(at, f"refund invoice case {at}", "billing", said, site="north"))
    rows += [row(20 + at, f"login screen frozen {at}", "bug", "bug", site="south")
             for at in range(20)]  # fmt: skip
    rows += [row(40 + at, f"printer paper tray {at}", "other", None, site="south")
             for at in range(8)]  # fmt: skip
    return rows


def test_clusters_are_named_by_their_words_and_their_confusion() -> None:
    """Each cluster holds one kind of failure, with the right answers near it in its rate."""
    part, member = failure_modes(mixed(), labels=True)
    assert (part["n"], part["wrong"]) == (48, 18)
    names = {cluster["name"]: cluster for cluster in part["clusters"]}
    refunds = [c for name, c in names.items() if "billing taken for bug" in name]
    prints = [c for name, c in names.items() if "other taken for (no answer)" in name]
    assert sum(c["count"] for c in refunds) == 10
    assert sum(c["count"] for c in prints) == 8
    assert all({"refund", "invoice", "case"} & set(" ".join(c["terms"]).split()) for c in refunds)
    rate = prints[0]["error_rate"]
    assert rate["value"] == 1.0
    assert sorted(member) == [place for place, r in enumerate(mixed()) if r.wrong]


def test_labels_and_slices_are_listed_worst_first() -> None:
    """Error rates per gold label, and per value of columns that have a few."""
    part, _ = failure_modes(mixed(), labels=True)
    assert list(part["by_label"]) == ["other", "billing", "bug"]
    assert list(part["by_slice"]["site"]) == ["north", "south"]
    assert part["by_slice"]["site"]["north"]["value"] == 0.5


def test_nothing_wrong_has_no_clusters() -> None:
    """A perfect student, texts without words and a single failure are all fine."""
    right = [row(at, "a b", "x", "x") for at in range(5)]
    assert failure_modes(right, labels=True)[0]["clusters"] == []
    silent = [row(0, "...", "x", "y"), row(1, "!!!", "x", "x")]
    [cluster] = failure_modes(silent, labels=True)[0]["clusters"]
    assert cluster["name"] == "other: x taken for y"
    assert cluster["error_rate"]["n"] == 2


def test_free_text_has_no_confusions() -> None:
    """Where nothing is a label, clusters have words and examples only."""
    rows = [row(at, f"sum up report {at}", f"long text {at}", "no") for at in range(9)]
    part, _ = failure_modes(rows, labels=False)
    assert part["by_label"] is None
    assert part["clusters"][0]["confused"] is None
    assert len(part["clusters"][0]["examples"]) == 3
