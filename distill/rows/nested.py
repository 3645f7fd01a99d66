"""Rows out of a JSON object that holds them under one name, and out of SQuAD's articles."""

from collections.abc import Mapping, Sequence
from typing import Any


def enclosed_rows(value: Any) -> Sequence[Any] | None:
    """The one array of objects in an object whose other values are plain ("version"), else None."""
    if not isinstance(value, Mapping):
        return None
    arrays = [part for part in value.values() if isinstance(part, list)]
    plain = not any(isinstance(part, Mapping) for part in value.values())
    if len(arrays) != 1 or not plain or not all(isinstance(row, Mapping) for row in arrays[0]):
        return None
    return arrays[0]


def unfolded(rows: Sequence[Any]) -> Sequence[Any]:
    """The rows; articles of SQuAD (Rajpurkar et al. 2016, arXiv:1606.05250) by question."""
    return questions(rows) if rows and all(map(_is_article, rows)) else rows


def questions(articles: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """{id, title, context, question, answer, answers} of every question of SQuAD's articles.

    `answer` is the first of the answers, empty where there is none.
    """
    found = []
    for article in articles:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                said = [str(answer.get("text", "")) for answer in asked.get("answers") or ()]
                found.append(
                    {
                        "id": asked.get("id"),
                        "title": article.get("title"),
                        "context": paragraph["context"],
                        "question": asked["question"],
                        "answer": said[0] if said else "",
                        "answers": list(dict.fromkeys(said)),
                    }
                )
    return found


def _is_article(row: Any) -> bool:
    paragraphs = row.get("paragraphs") if isinstance(row, Mapping) else None
    return (
        bool(paragraphs)
        and isinstance(paragraphs, list)
        and all(
            isinstance(part, Mapping)
            and isinstance(part.get("context"), str)
            and isinstance(part.get("qas"), list)
            and all(isinstance(one, Mapping) and "question" in one for one in part["qas"])
            for part in paragraphs
        )
    )
