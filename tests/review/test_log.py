"""The log: lines are only added, durably, and a torn one at the end is no loss."""

import multiprocessing

import pytest

from distill.errors import DataError, RunError
from distill.review.log import NAME, Review, amend, append, read_log


def review(row, reviewer="ann", **more):
    return Review("p", row, "h", "s", "correct", reviewer, "accept", **more)


def test_what_is_appended_is_read(tmp_path):
    """Every field of a review comes back."""
    times = {"at": "t", "seconds": 1.5, "confidence": 0.5}
    full = review("r", edits={"a": [1, None]}, tags=("x",), comment="\u2028 \n", **times,
                  final=True, saw_suggestion=False, order=("b", "a"))  # fmt: skip
    append(tmp_path / "new", [full])
    append(tmp_path / "new", [review("s")])
    assert read_log(tmp_path / "new") == [full, review("s")]
    assert read_log(tmp_path / "nothing") == []


def test_a_torn_last_line_is_cut_off(tmp_path):
    """What a crash left half written is left out when reading and cut off when writing."""
    append(tmp_path, [review("r")])
    with (tmp_path / NAME).open("a") as file:
        file.write('{"pack_id": "p", "row')
    assert read_log(tmp_path) == [review("r")]
    append(tmp_path, [review("s")])
    assert read_log(tmp_path) == [review("r"), review("s")]


def test_a_damaged_line_is_named(tmp_path):
    """A line in the middle that is no review is an error with its number."""
    append(tmp_path, [review("r")])
    with (tmp_path / NAME).open("a") as file:
        file.write("{}\n")
    with pytest.raises(DataError, match=r"log\.jsonl:2"):
        read_log(tmp_path)


def _many(folder, name):
    for at in range(20):
        append(folder, [review(f"{name}{at}", name)])


def test_reviewers_at_once_lose_nothing(tmp_path):
    """Two processes that append together both have all their lines."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_many, args=(tmp_path, name)) for name in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(read_log(tmp_path)) == 40


def _once(folder):
    def missing(log):
        return [] if any(r.row_id == name for r in log) else [review(name)]

    for at in range(20):
        name = f"r{at}"
        amend(folder, missing)


def test_the_same_file_imported_twice_at_once_is_in_the_log_once(tmp_path):
    """What is added is decided by the log as it is, with nobody writing in between."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_once, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sorted(r.row_id for r in read_log(tmp_path)) == sorted(f"r{at}" for at in range(20))


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path):
    """Where the disk is full the error says so, and no half of an import is written."""
    append(tmp_path, [review("r")])
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / NAME).symlink_to("/dev/full")
    with pytest.raises((RunError, OSError)):
        append(tmp_path / "sub", [review("s")])
    assert read_log(tmp_path) == [review("r")]
