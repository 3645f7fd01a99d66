"""Order and padding of the rows."""

import torch

from distill.train.collate import Collator, EncodedRow, OrderedRows, unpacked


def _rows(count=5):
    return [
        EncodedRow(str(at), at, torch.arange(at + 2), torch.tensor([-100] + [7] * (at + 1)))
        for at in range(count)
    ]


def _order(**given):
    settings = {"steps": 4, "batch": 3, "seed": 1} | given
    rows = OrderedRows(_rows(), **settings)
    return [rows[at].key for at in range(len(rows))]


def test_every_row_comes_once_in_each_turn():
    """One shuffle of all rows after another, cut where the steps end."""
    order = _order()
    assert sorted(order[:5]) == sorted(order[5:10]) == [0, 1, 2, 3, 4]
    assert order[:5] != order[5:10]
    assert len(order) == 12


def test_the_order_follows_from_the_seed_alone():
    """Longer trainings and other batches begin alike; another seed does not."""
    assert _order(steps=6, batch=4)[:12] == _order()
    assert _order(seed=2) != _order()


def test_any_place_can_be_read_first():
    """A continued training, or another process, reads from the middle."""
    rows = OrderedRows(_rows(), steps=4, batch=3, seed=1)
    assert [rows[at].key for at in (11, 0, 7)] == [_order()[at] for at in (11, 0, 7)]


def test_tokens_are_counted():
    """Per step, and those that are learnt over the whole training."""
    rows = OrderedRows(_rows(), steps=5, batch=1, seed=1)
    assert sum(rows.tokens_of_steps(1)) == 2 + 3 + 4 + 5 + 6
    assert rows.supervised() == 1 + 2 + 3 + 4 + 5


def test_padding_is_never_read_or_learnt():
    """Short rows are filled on the right; mask and targets leave the filling out."""
    batch = Collator(9)([_rows()[0], _rows()[2]])
    assert batch["input_ids"].tolist() == [[0, 1, 9, 9], [0, 1, 2, 3]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert batch["labels"].tolist() == [[-100, 7, -100, -100], [-100, 7, 7, 7]]
    assert batch["keys"].tolist() == [0, 2]


def test_packed_rows_share_lines():
    """A row goes behind the one before it while the line has room; positions start again."""
    batch = Collator(9, packing=True, width=5)([_rows()[at] for at in (0, 1, 2)])
    assert batch["input_ids"].tolist() == [[0, 1, 0, 1, 2], [0, 1, 2, 3, 9]]
    assert batch["position_ids"].tolist() == [[0, 1, 0, 1, 2], [0, 1, 2, 3, 0]]
    assert batch["labels"].tolist() == [[-100, 7, -100, 7, 7], [-100, 7, 7, 7, -100]]
    assert batch["lines"].tolist() == [0, 0, 1]
    assert "attention_mask" not in batch
    assert Collator(9, packing=True)(_rows())["input_ids"].shape == (1, 20)


def test_unpacked_rows_are_the_padded_ones():
    """Rows of a packed batch come back one to a line, their tokens in the same order."""
    rows = _rows()
    packed = Collator(9, packing=True, width=9)(rows)
    chosen = torch.tensor([True, False, True, True, True])
    padded = Collator(0)([row for row, one in zip(rows, chosen, strict=True) if one])
    found = unpacked(packed, chosen)
    mask = padded["attention_mask"]
    assert torch.equal(found["attention_mask"], mask)
    assert torch.equal(found["labels"], padded["labels"])
    assert torch.equal(found["input_ids"] * mask, padded["input_ids"] * mask)
