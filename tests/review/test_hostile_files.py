"""Whatever comes back in a review file, the import answers with a plan or a clear error."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.errors import DistillError
from distill.review.pack import read_packs

FORMATS = ("csv", "jsonl", "xlsx", "label-studio", "argilla")
FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CUTS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.binary(max_size=12)), min_size=1, max_size=6
)
"""Places in the file, bytes that are lost there, bytes that come instead."""


def damaged(raw, cuts):
    for share, lost, come in cuts:
        at = int(share * len(raw))
        raw = raw[:at] + come + raw[at + lost :]
    return raw


@pytest.fixture
def sent(desk):
    """A dataset whose pack was sent out."""
    made = desk()
    made.packs()
    return made


@pytest.mark.parametrize("format", FORMATS)
@FEW
@given(cuts=CUTS)
def test_a_damaged_file_is_planned_or_refused(sent, tmp_path, format, cuts):
    """No other exception, no row that was never sent, and planning writes nothing."""
    [pack] = read_packs(sent.folder).values()
    whole = sent.write(pack, format)
    broken = tmp_path / f"broken{whole.suffix}"
    broken.write_bytes(damaged(whole.read_bytes(), cuts))
    log = sent.folder / "log.jsonl"
    before = log.read_bytes() if log.exists() else b""
    try:
        plan = sent.plan(broken)
    except DistillError:
        return
    assert {review.row_id for review in plan.reviews} <= {row.row_id for row in pack.rows}
    assert (log.read_bytes() if log.exists() else b"") == before


@FEW
@given(text=st.text(max_size=200), suffix=st.sampled_from([".csv", ".jsonl", ".json", ".xlsx"]))
def test_any_text_is_planned_or_refused(sent, tmp_path, text, suffix):
    """A file that is no review at all is told apart, whatever its name says."""
    path = tmp_path / f"any{suffix}"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with suppress(DistillError):
        assert sent.plan(path).reviews == []
