"""Documents are read and cut into passages that can be read by themselves."""

import json

import pytest

from distill.errors import DataError
from distill.rows.documents import Document, cut, read_documents


def words(passage):
    return len(passage.text.split())


def test_folder_and_rows(tmp_path):
    """Text files by name, Markdown with its heading as title, hidden files left out; or JSONL."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "b.txt").write_text("Plain text.\n")
    (tmp_path / "deep/a.md").write_text("# The title\n\nBody with \u20ac and \u4e2d\u6587.\n")
    (tmp_path / ".hidden.txt").write_text("no")
    (tmp_path / "empty.txt").write_text("  \n")
    found = {document.id: document.title for document in read_documents(tmp_path)}
    assert found == {"b.txt": "b", "deep/a.md": "The title"}
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        json.dumps({"text": "one"}) + "\n" + json.dumps({"id": "x", "title": "T", "text": "two"})
    )
    assert [(d.id, d.title, d.text) for d in read_documents(rows)] == [
        ("rows:1", "", "one"), ("x", "T", "two"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"title": "no text"}], "no `text`"),
        ([{"id": 1, "text": "a"}, {"id": 1, "text": "b"}], "two documents have the id '1'"),
    ],
)
def test_wrong_rows_are_named(tmp_path, rows, said):
    """A row without text, or an id that comes twice, is an error."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=said):
        read_documents(path)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="holds no document"):
        read_documents(tmp_path / "nothing")


def test_paragraphs_stay_whole_and_long_ones_are_cut_between_sentences():
    """No passage is longer than asked; nothing is lost; sentences are not torn."""
    sentence = 'He said "it is so." '
    text = "A short one.\n\n" + sentence * 30 + "\n\nThe last one."
    passages = cut(Document("d", "t", text), words=40)
    assert all(words(passage) <= 40 for passage in passages)
    assert " ".join(passage.text for passage in passages).split() == text.split()
    assert all(passage.text.endswith((".", '."')) for passage in passages)
    assert [passage.number for passage in passages] == list(range(len(passages)))


def test_overlap_and_text_without_ends():
    """A cut inside a paragraph repeats the last words; text without any sentence is cut too."""
    text = " ".join(f"Word{n} goes on." for n in range(60))
    first, second = cut(Document("d", "t", text), words=30, overlap=6)[:2]
    assert second.text.split()[:6] == first.text.split()[-6:]
    assert all(words(part) <= 30 for part in cut(Document("d", "t", "w " * 200), 30, 5))
    chinese = "\u4eca\u5929\u5929\u6c14\u5f88\u597d\u3002" * 60
    parts = cut(Document("d", "t", chinese), words=30)
    assert len(parts) > 5
    assert "".join(part.text for part in parts) == chinese
