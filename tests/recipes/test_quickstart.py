"""The embedded default, for real but short: one seed, one learning rate, fewer steps."""

import pytest

from distill import load_recipe, run

pytestmark = pytest.mark.long

SHORT = ["evaluate.seeds=1", "train.lr=0.005", "train.steps=300"]


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """The report and the folder of one short quickstart."""
    folder = tmp_path_factory.mktemp("quickstart")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        report = run(load_recipe("quickstart", SHORT))
    return report, folder / "runs" / "quickstart"


def accuracy(report, system):
    return report["metrics"][system]["accuracy"]["value"]


def test_the_teacher_is_good_and_the_untrained_student_guesses(quickstart):
    """On 660 gold tickets the teacher has 0.85 or more, the untrained student is near chance."""
    report, _ = quickstart
    assert report["metrics"]["teacher"]["accuracy"]["n"] == 660
    assert accuracy(report, "teacher") >= 0.85
    assert accuracy(report, "student_before") < 0.35
    assert accuracy(report, "majority") == pytest.approx(1 / 6)


def test_every_arm_learns(quickstart):
    """All three trained students are far from chance; which one leads, ten seeds in LOG.md say."""
    report, _ = quickstart
    for arm in ("student", "hard_labels", "hard_labels_confident"):
        assert accuracy(report, arm) > 0.5


def test_the_teacher_has_eight_times_the_parameters(quickstart):
    """Counted in the saved weights, embeddings included."""
    from safetensors import safe_open

    def parameters(folder):
        with safe_open(folder / "model.safetensors", framework="pt") as weights:
            return sum(weights.get_tensor(name).numel() for name in weights.keys())  # noqa: SIM118

    _, root = quickstart
    teacher = parameters(root / "teachers" / "teacher" / "student")
    assert teacher >= 8 * parameters(root / "student")


def test_the_counts_add_up_and_the_bad_rows_are_gone(quickstart):
    """Tickets that say nothing are dropped as too short; 500 rows are accepted."""
    report, _ = quickstart
    rows = {entry["stage"]: entry for entry in report["rows"]}
    assert rows["filter"]["in"] == rows["generate"]["accepted"]
    assert rows["filter"]["accepted"] == 500
    assert rows["filter"]["reasons"]["length:too_short"] > 0
    for entry in rows.values():
        assert entry["in"] == entry["accepted"] + entry["rejected"] + entry["failed"]


def test_the_report_says_when_soft_labels_help(quickstart):
    """The page carries the sentence, the comparison and no outside address."""
    _, root = quickstart
    page = (root / "report.html").read_text()
    assert "Soft labels help where" in page
    assert "hard labels confident" in page
