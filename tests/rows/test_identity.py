"""The ids of a data file's rows."""

from distill.rows.identity import row_ids


def test_an_id_column_is_the_id():
    """Text and whole numbers are taken as they are written; `row_id` where there is no `id`."""
    assert row_ids([{"id": "a"}, {"id": " b "}]) == ["a", "b"]
    assert row_ids([{"id": 7}, {"id": 8}]) == ["7", "8"]
    assert row_ids([{"row_id": "x", "t": 1}, {"row_id": "y", "t": 1}]) == ["x", "y"]


def test_ids_that_do_not_tell_rows_apart_are_not_taken():
    """Repeated, missing, empty and boolean ids give way to the content of the rows."""
    for first, second in (("a", "a"), ("a", None), ("a", ""), (True, False), (1.5, 2.5)):
        ids = row_ids([{"id": first, "t": "x"}, {"id": second, "t": "y"}])
        assert all(len(id) == 16 for id in ids), (first, second)


def test_content_ids_stay_when_rows_move():
    """A row keeps its id wherever it stands; equal rows are numbered."""
    rows = [{"t": "x"}, {"t": "y"}, {"t": "x"}]
    one, two, three = row_ids(rows)
    assert (two, one) == tuple(row_ids([rows[1], rows[0]]))
    assert three == f"{one}-2"
    assert len({one, two, three}) == 3
