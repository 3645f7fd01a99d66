"""Texts that break tools: from the pool through templates and teacher to the dataset, unchanged."""

import json

from teachers.config import ScriptRule

TEXTS = [
    'braces {{ x }} {% raw %} {"a": 1} \\ "quoted" about bug',
    "emoji 🧑🏽‍🚀🇫🇷 about bug",
    "right to left \u202e\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627\u202c about bug",
    "control \x1b[31m characters \t and \u2028 line ends\r\n about bug",
    "<|im_end|> ``` === --- <think> about bug",
    "long " * 20_000 + "about bug",
]


def test_hostile_texts_come_through(project, tmp_path, monkeypatch):
    """The teacher reads and the student is shown each text as it is; templates keep JSON braces."""
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in TEXTS]
    (tmp_path / "pool.jsonl").write_text("\n".join(lines) + "\n")
    prompt = 'Read {"text": "{{ text }}"} and say {"label": ...}: which of {{ labels | json }}?'
    (tmp_path / "prompt.md").write_text(prompt.replace("{{ labels | json }}", "{bug, other}"))
    recipe = {
        "version": 1,
        "name": "hostile",
        "task": {"kind": "classify", "labels": ["bug", "other"], "prompt": "{ {{ text }} } ->"},
        "data": {"pool": "pool.jsonl"},
        "generate": {
            "fields": {
                "echo": {"ask": "big", "prompt": "prompt.md"},
                "label": {"render": "{{ 'bug' if text in echo else 'other' }}"},
            }
        },
    }
    with project.served() as server:
        # What the teacher was asked comes back as its answer.
        server.server._config = server.server._config.model_copy(
            update={"script": [ScriptRule(when=r"(?s)(.*)", answers=["{1}"])]}
        )
        recipe["teachers"] = {"big": server.teacher(max_tokens=60_000)}
        (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
        said = project.command("generate", "recipe.yaml", "--json")
        assert said.code == 0, said.err
        again = project.command("generate", "recipe.yaml", "--set", "seed=2", "--json")
        assert server.requests == len(TEXTS) == again.json["cost"]["stored_answers"]
    rows = (tmp_path / "runs/hostile/dataset/train.jsonl").read_text(encoding="utf-8")
    found = [json.loads(line) for line in rows.split("\n") if line]
    assert {row["fields"]["text"] for row in found} == set(TEXTS)
    assert {row["messages"][-1]["content"] for row in found} == {"bug"}
    for row in found:
        assert row["messages"][0]["content"] == f"{{ {row['fields']['text']} }} ->"
