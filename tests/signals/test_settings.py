"""What is kept of a teacher's probabilities."""

import pytest

from distill.errors import RecipeError
from distill.signals.settings import CaptureSettings


def test_plain_data_and_back():
    """Settings survive their plain data."""
    given = CaptureSettings(k=20, top_p=0.9, temperatures=(2.0,))
    assert CaptureSettings.from_dict(given.as_dict()) == given.checked()


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"codec": "zip"}, "codec"),
        ({"kind": "sampled", "codec": "set"}, "codec"),
        ({"kind": "topk", "codec": "sampled"}, "codec"),
        ({"k": 0}, "k"),
        ({"top_p": 1.5}, "top_p"),
        ({"temperatures": (0.0,)}, "temperatures"),
    ],
)
def test_what_does_not_fit_is_named(options, key):
    """Each thing that cannot be is refused under its recipe key."""
    with pytest.raises(RecipeError) as caught:
        CaptureSettings(**options).checked()
    assert caught.value.problems[0].key == f"train.signal.{key}"
