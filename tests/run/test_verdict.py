"""A recipe whose student learns the votes of a judge, from rows to trained weights."""

import json
from pathlib import Path

RECIPE = """\
version: 1
name: judge
seed: 3
teachers:
  big:
    kind: scripted
    script: [{when: great, answers: ["5", "4"]}, {when: poor, answers: ["1", "2"]}]
task: {kind: judge_absolute, scale: {min: 1, max: 5}, prompt: "{{ response }} ->"}
data: {pool: pool.jsonl}
generate:
  strategy: label_pool
  ask: big
  fields:
    judged: {ask: big, prompt: "Grade {{ response }} from 1 to 5.", choices: labels, votes: 4}
    feedback: {render: "It says {{ response }}."}
split: {train: 0.8, val: 0.2}
student:
  init: scratch
  tokenizer: {bpe: 300}
  config: {model_type: llama, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1,
           num_attention_heads: 2, max_position_embeddings: 64}
train: {batch: 8, steps: 30, lr: 2.0e-2, max_length: 64, loss: {kind: verdict, form: cdf}}
"""


def test_a_judge_learns_its_votes(project, tmp_path, monkeypatch):
    """The report tells the mass left over and the error of the score; `check` names the target."""
    rows = [
        {"instruction": f"task {at}", "response": f"{('great', 'poor')[at % 2]} work {at}"}
        for at in range(30)
    ]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    checked = project.command("check", "recipe.yaml", "--json")
    assert "label log-probabilities of score or judged" in checked.out + checked.err
    said = project.command("train", "recipe.yaml", "--json")
    assert said.code == 0, said.err + said.out
    line = json.loads(Path("runs/judge/dataset/train.jsonl").read_text().splitlines()[0])
    assert len(line["fields"]["judged_votes"]) == 2  # opinions differ, and both count
    [done] = Path("runs/judge/stages").glob("*-train/done.json")
    details = json.loads(done.read_text())["details"]
    verdicts = details["training"]["verdicts"]
    assert verdicts.keys() == {"left_over", "score_error", "n"}
    curve = [point for point in details["curves"]["student"] if "kd_loss" in point]
    assert curve[-1]["kd_loss"] < curve[0]["kd_loss"]
