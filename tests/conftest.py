"""What every test gets: no hub, one thread per process where torch is used, a clean folder."""

import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID"):
    os.environ.pop(name, None)


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """An empty current directory, where runs/ and .distill/ are made."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
