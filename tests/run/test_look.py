"""Looking at a run: what is done, and what became of a row."""

import json

import pytest

from distill.errors import UsageError
from distill.rows.stages import read_stage
from distill.run.directory import RunDirectory, find_run
from distill.run.look import biography, report_of, status_of


@pytest.fixture
def run(trained):
    """The shared run."""
    return find_run("tiny")


def rows(run, stage):
    return list(read_stage(run.stage(stage)))


def test_status_tells_the_stages_and_the_cost(run):
    """Finished stages with their counts; nobody holds the run; the cost is the report's."""
    found = status_of(run)
    assert (found["name"], found["pid"], found["state"]) == ("tiny", None, "not running")
    states = {stage["name"]: stage["state"] for stage in found["stages"]}
    assert states.pop("review") == states.pop("signals") == "not run"
    assert set(states.values()) == {"done"}
    assert found["cost"] == report_of(run)["cost"]


def test_a_kept_row_has_a_whole_life(run):
    """Its fields, every filter's verdict, and the split that it is in; the id may be shortened."""
    row = rows(run, "split")[0]
    life = biography(run, row.id)
    assert [step["stage"] for step in life["stages"]] == ["generate", "filter", "split"]
    assert life["end"] == f"in {row.fields['split']}"
    assert life["fields"]["text"] == row.fields["text"]
    assert [verdict["by"] for verdict in life["stages"][1]["verdicts"]] == [
        "length", "refusal", "not_in_gold",
    ]  # fmt: skip
    assert biography(run, row.id[:10]) == life


def test_a_dropped_row_says_why(run):
    """The life ends at the filter that dropped it, with its reason and score."""
    row = next(row for row in rows(run, "filter") if row.status == "rejected")
    life = biography(run, row.id)
    assert life["end"] == "rejected by filter"
    last = life["stages"][-1]
    assert (last["stage"], last["reason"]) == ("filter", "length:too_long")
    assert last["verdicts"][-1] == {
        "by": "length", "keep": False, "reason": "too_long", "score": row.score,
    }  # fmt: skip


@pytest.mark.parametrize(("given", "found"), [("zz", "no row 'zz'"), ("", "rows begin with ''")])
def test_an_id_that_is_not_one_row(run, given, found):
    """No row, and more than one, are told apart; some that fit are named."""
    with pytest.raises(UsageError, match=found):
        biography(run, given)


def test_a_run_without_a_report(tmp_path):
    """A run that has not come that far says how to get there."""
    (tmp_path / "lock.json").write_text("{}")
    with pytest.raises(UsageError, match="no report yet"):
        report_of(find_run(str(tmp_path)))


def test_runs_are_found_by_folder_and_by_name(run, trained):
    """A name under ./runs and the folder are the same run; an unknown one lists what there is."""
    assert find_run(str(trained / "runs/tiny")).root.samefile(run.root)
    with pytest.raises(UsageError, match=r"no run 'tniy' here \(allowed: tiny\)"):
        find_run("tniy")


def test_a_file_that_is_damaged_reads_as_not_done(tmp_path):
    """A torn done.json only means that the stage is done again."""
    directory = RunDirectory(tmp_path)
    done = directory.stage("filter") / "done.json"
    done.parent.mkdir(parents=True)
    for text in ('{"key": "x", "outp', "[]", '{"key": "x"}', json.dumps({"other": 1})):
        done.write_text(text)
        assert directory.done("filter") is None
