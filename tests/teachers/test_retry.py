import pytest

from teachers import TeacherError
from teachers.retry import RATE_LIMIT_WAIT_S, TRIES, Patience


def test_transport_failures_have_six_tries():
    """Transport failures share one count; pauses stay under the bound that doubles."""
    patience = Patience(backoff_s=0.01)
    pauses = [patience.pause_s(TeacherError(kind, "x")) for kind in ("server", "timeout") * 3]
    assert len(pauses) == TRIES
    assert pauses[-1] is None
    assert all(0 <= pause <= 0.01 * 2**n for n, pause in enumerate(pauses[:-1]))


def test_rate_limits_wait_as_told_and_use_no_tries():
    """Retry-After is kept to the letter, and the other count is untouched."""
    patience = Patience(backoff_s=0.01)
    assert [patience.pause_s(TeacherError("rate_limit", "x", 2.5)) for _ in range(20)] == [2.5] * 20
    assert patience.pause_s(TeacherError("server", "x")) is not None


@pytest.mark.parametrize("wait", [0.0, RATE_LIMIT_WAIT_S / 4])
def test_rate_limits_end(wait):
    """Waiting for a rate limit is bounded in time and in number."""
    patience = Patience(backoff_s=0.01)
    pauses = [patience.pause_s(TeacherError("rate_limit", "x", wait)) for _ in range(300)]
    assert None in pauses


@pytest.mark.parametrize("kind", ["auth", "bad_request", "content_filter", "truncated", "parse"])
def test_others_are_not_sent_again(kind):
    """A failure that waiting does not mend is final."""
    assert Patience(backoff_s=1).pause_s(TeacherError(kind, "x")) is None
