"""What every test gets: no hub, one thread per process where torch is used, a clean folder."""

import gc
import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID"):
    os.environ.pop(name, None)


def pytest_collection_modifyitems(items):
    """Files marked `long` come first, so that no process is left with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


# Nothing that is collected is garbage, and there is much of it to look through.
gc.disable()
BEGUN = set()


def pytest_runtest_logstart(location):
    """Keeps what is there when a file begins out of garbage collections.

    Every training ends with one, and a quarter of the time went into looking through all tests and
    all modules of torch.
    """
    if location[0] not in BEGUN:
        BEGUN.add(location[0])
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """An empty current directory, where runs/ and .distill/ are made."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def embeddings(tmp_path_factory):
    """A folder with a tiny static embedding model: words of a topic lie together."""
    np = pytest.importorskip("numpy")
    from model2vec import StaticModel
    from tokenizers import Tokenizer, models, pre_tokenizers

    topics = [
        ["cat", "dog", "horse", "sheep", "cow", "goat"],
        ["invoice", "refund", "payment", "bank", "money", "bill"],
        ["rain", "snow", "wind", "storm", "cloud", "sun"],
    ]
    words = ["[UNK]", *(word for topic in topics for word in topic)]
    vectors = np.zeros((len(words), 6), dtype=np.float32)
    for place, topic in enumerate(topics):
        for at, word in enumerate(topic):
            vectors[words.index(word), place] = 1.0
            vectors[words.index(word), 3 + place] = 0.1 * at
    vocabulary = {word: at for at, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path_factory.mktemp("embeddings")
    StaticModel(vectors, tokenizer, normalize=True).save_pretrained(folder)
    return str(folder)
