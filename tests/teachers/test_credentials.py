import pytest

from teachers import (
    ConfigError,
    MissingKey,
    OpenAITeacher,
    ScriptedTeacher,
    env_names,
    missing_keys,
)
from teachers.credentials import PLACEHOLDER, credentials, is_openai

OWN = "https://api.openai.com/v1"
OTHER = "http://localhost:8000/v1"


def config(**fields):
    return OpenAITeacher(kind="openai", model="m", **fields)


@pytest.mark.parametrize(
    ("url", "own"),
    [
        (OWN, True),
        ("https://eu.api.openai.com/v1", True),
        ("http://api.openai.com/v1", False),
        ("https://api.openai.com.example.org/v1", False),
        ("https://notapi.openai.com/v1", False),
        (OTHER, False),
    ],
)
def test_own_address(url, own):
    """Only OpenAI's own hosts over TLS are OpenAI's own address."""
    assert is_openai(url) is own


def test_openai_key_goes_to_openai_only():
    """Another address gets a placeholder unless the recipe names a variable."""
    environ = {"OPENAI_API_KEY": "sk-real", "OTHER_KEY": "other\n"}
    assert credentials(config(), OWN, environ).key == "sk-real"
    assert credentials(config(base_url=OTHER), OTHER, environ).key == PLACEHOLDER
    named = config(base_url=OTHER, api_key_env="OTHER_KEY")
    assert credentials(named, OTHER, environ).key == "other"


def test_missing_key_says_what_to_type():
    """The message holds the line to type for every variable that is missing or empty."""
    wanted = config(headers_env={"x-team": "TEAM_TOKEN"})
    assert env_names(wanted) == ("OPENAI_API_KEY", "TEAM_TOKEN")
    assert missing_keys(wanted, {"OPENAI_API_KEY": " "}) == ("OPENAI_API_KEY", "TEAM_TOKEN")
    with pytest.raises(MissingKey, match=r"export OPENAI_API_KEY=\.\.\.; export TEAM_TOKEN="):
        credentials(wanted, OWN, {})
    assert missing_keys(ScriptedTeacher(kind="scripted"), {}) == ()


def test_secrets_do_not_show():
    """Credentials print without their values."""
    held = credentials(config(), OWN, {"OPENAI_API_KEY": "sk-real"})
    assert "sk-real" not in repr(held)
    assert held.secrets == ("sk-real",)


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://x/v1", "http://me:pw@host/v1", "http://h/v1?k=v"]
)
def test_addresses_that_are_refused(url):
    """An address without a scheme, or with a secret in it, is a mistake in the recipe."""
    with pytest.raises(ConfigError) as caught:
        env_names(config(base_url=url))
    assert "pw" not in str(caught.value)
