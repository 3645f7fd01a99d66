import pytest

from teachers import LocalTeacher, OpenAITeacher, Price, ScriptedTeacher, price_of, prices_as_of
from teachers.prices import cost_usd


def test_table_and_dated_names():
    """A dated model has the price of its family; an unknown one has none."""
    known = OpenAITeacher(kind="openai", model="gpt-4.1")
    dated = OpenAITeacher(kind="openai", model="gpt-4.1-2025-04-14")
    assert price_of(known) == price_of(dated) == Price(input=2.0, output=8.0)
    assert price_of(OpenAITeacher(kind="openai", model="gpt-99")) is None
    assert prices_as_of()[:2] == "20"


def test_own_price_wins():
    """The recipe's price goes before the table's."""
    own = Price(input=1, output=1)
    assert price_of(OpenAITeacher(kind="openai", model="gpt-4.1", price=own)) == own


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/v1", "https://api.openai.com.evil.example/v1"]
)
def test_other_addresses_have_no_known_price(url):
    """A model of the same name elsewhere costs what it costs."""
    assert price_of(OpenAITeacher(kind="openai", model="gpt-4.1", base_url=url)) is None


def test_own_machines_cost_nothing():
    """Local and scripted answers cost 0."""
    free = Price(input=0.0, output=0.0)
    assert price_of(LocalTeacher(kind="local", model="m")) == free
    assert price_of(ScriptedTeacher(kind="scripted")) == free


def test_cost():
    """Cost is tokens times price over a million, unknown without a price."""
    assert cost_usd(Price(input=2, output=8), 1_000_000, 500_000) == 6.0
    assert cost_usd(None, 1, 1) is None
