"""Every bundled recipe is checked, expanded and run for two steps, with nothing paid.

The teachers are scripted and the student is tiny; strategy, filters, split, objective, LoRA and
everything else are the recipe's own.
"""

import json
import re

import pytest

from distill.recipe.bundled_rubrics import bundled_rubrics
from distill.recipe.check import check
from distill.recipe.expand import expand
from distill.recipe.load import HEADERS, bundled_recipes, load_recipe
from distill.recipe.schema import Recipe
from distill.recipe.yaml_file import read_yaml
from distill.rows.readers import read_numbered, read_records
from distill.run.plan.forecast import memory_forecast
from distill.run.walk import run_recipe

RECIPES = {one.name: one for one in bundled_recipes()}
NAMES = [
    name
    for name, one in RECIPES.items()
    if one.path.parent.name != "examples" and name != "quickstart"
]
"""Those for real models; quickstart and examples are run whole, elsewhere."""

GRADE = (r"(?s)# Rubric.*Answer with the grade alone, one of: .*?(\d)$", "{1}")
"""The judges of filters are pleased: the last step of the scale."""
WELSH = [
    "Sut mae cadw padell haearn bwrw rhag rhydu dros y gaeaf yn y gegin?",
    "Pam mae dail y coed yn troi yn frown yn yr hydref bob blwyddyn?",
    "Beth yw'r gwahaniaeth rhwng y tywydd a'r hinsawdd yng Nghymru heddiw?",
    "Ysgrifennwch neges fer at gymydog i ddweud bod parsel yn aros amdani.",
    "Rhowch rysáit syml i mi ar gyfer cawl cennin a thatws y teulu.",
]
SCRIPTS: dict[str, list[tuple[str, str | list[str]]]] = {
    "classify": [
        (r"(?s)^Write one message.*Who writes: ([^\n]+)\nWhat it is about: (\w+)",
         "Written by {1}, and it is about {2}"),
        (r"(?s)Message:.*about (billing|bug|how_to|other)", "{1}"),
    ],
    "extract-json": [
        GRADE,
        ("JSON Schema", '{"item": "desk", "quantity": 2, "city": "Ghent", "needed_by": null, '
                        '"express": false}'),
    ],
    "summarize": [GRADE, (r"Article: (.+?\.)", "{1}")],
    "support-style": [
        GRADE,
        ("How good is the response", "5"),
        (r"Customer: ([^\n]+)", "I see: {1} I will look into it now and write to you today."),
    ],
    "grounded-qa": [
        GRADE,
        (r'(?s)like "the passage"\.\s+(?:# )?([^\n]+)\n.*?(\w+ \w+ \w+)\.\s+Answer with the q',
         "Regarding {1}, where do we read {2}?"),
        (r"(?s)\[(\d)\] ([^\n:]+): ([^\n]+?\.).*Question: Regarding \2,", "{3} [{1}]"),
    ],
    "low-resource-language": [
        ("Put it into Welsh", WELSH),
        ("Answer in Welsh only", "Dyma ateb byr a syml yn Gymraeg i'r cwestiwn hwn, diolch i chi."),
    ],
    "preference": [
        (r"Response A:\s+A careful(?s:.*)Response B:\s+A quick", "A"),
        (r"Response A:\s+A quick(?s:.*)Response B:\s+A careful", "B"),
        (r"^([^\n]+)$", "A careful answer to this: {1}"),
    ],
    "on-policy": [(r"^([^\n]+)$", "A careful answer to this: {1}")],
    "judge-7b-absolute": [
        (r"deserves the grade (\d)(?s:.*)Instruction:\n([^\n]+)", "An answer worth {1} to: {2}"),
        ("Say in two to four sentences why", "It says what it is worth, and that is what it gets."),
        (r"(?s)Response:\nAn answer worth (\d).*and nothing else", "{1}"),
    ],
    "judge-7b-pairwise": [
        (r"deserves a (high|middling|low) grade(?s:.*)Instruction:\n([^\n]+)", "A {1} one to: {2}"),
        ("Say in two to four sentences why", "One of them is of a higher grade than the other."),
        (r"(?s)Response A:\nA high.*Response B:\nA (?:middling|low)", "A"),
        (r"(?s)Response A:\nA (?:middling|low).*Response B:\nA high", "B"),
        ("Which one is better", "TIE"),
    ],
}  # fmt: skip
"""Recipe -> what its teachers say; the others need no rules, or rules made of their data."""


def rules_of(name, recipe, teacher):
    """The script of one of the recipe's teachers."""
    rules = list(SCRIPTS.get(name, ()))
    if teacher == "small":  # the one whose answers are not preferred
        rules = [(r"^([^\n]+)$", "A quick answer to this: {1}")]
    if name == "rationale":  # the reasoning has to end at the known answer
        folder = RECIPES[name].path.parent
        for row in read_records(folder / recipe.data.pool):
            worked = f"We count step by step until we are there.\nAnswer: {row['right']}"
            rules.append((re.escape(row["question"]), worked))
    return [
        {"when": when, "answers": said if isinstance(said, list) else [said]}
        for when, said in rules
    ]


def shrunk(name: str, tiny: str) -> Recipe:
    """The recipe with scripted teachers, a tiny student and two steps."""
    recipe = load_recipe(name)
    data = read_yaml(RECIPES[name].path).data
    data["teachers"] = {
        teacher: {"kind": "scripted", "script": rules_of(name, recipe, teacher), "max_tokens": 64}
        for teacher in recipe.teachers
    }
    data["student"] = {**data["student"], "model": tiny}
    train = data["train"]
    for key in ("epochs", "steps", "deepspeed", "micro_batch"):
        train.pop(key, None)
    train |= {"steps": 2, "batch": 4}
    if "accept" in data.get("generate", {}):
        data["generate"]["accept"] = 10
    if "review" in data:
        data["review"] |= {"stop": False}
    if train.get("signal", {}).get("from"):  # the same kind of training, from a tiny local teacher
        data["teachers"]["tiny"] = {"kind": "local", "model": tiny, "max_tokens": 64}
        train["signal"] = {"kind": train["signal"]["kind"], "from": "tiny"}
        if train.get("on_policy"):  # only a server scores what the student writes token by token
            train["signal"], train["loss"] = (
                {"kind": "dense", "from": "tiny"},
                {"kind": "reverse_kl"},
            )
    small = Recipe.model_validate(data)
    small._source = str(RECIPES[name].path)
    return small


@pytest.mark.parametrize("name", NAMES)
def test_it_is_checked_and_expanded(name):
    """Without a problem, and with nothing missing but the key of the paid teacher."""
    recipe = load_recipe(name)
    found = check(recipe, {"OPENAI_API_KEY": "x"}, read_numbered)
    assert not found.problems
    assert not found.missing_keys
    assert recipe.name == name
    made = expand(recipe)
    if recipe.generate is not None:
        assert recipe.task.output in made.generate.fields
    assert expand(made) == made


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_for_two_steps(name, tiny_model, workdir):
    """From its own sample rows to a trained student."""
    report = run_recipe(shrunk(name, str(tiny_model)), until="train")
    assert report["training"]["steps"] == 2
    assert report["rows"][0]["failed"] == 0
    lines = (workdir / f"runs/{name}/dataset/train.jsonl").read_text().splitlines()
    assert len(lines) >= 3
    first = json.loads(lines[0])
    assert {"messages", "text", "chosen"} & first.keys()


def test_judges_see_their_whole_rubric_and_every_score(tiny_model, workdir):
    """Scores are level, instructions stay whole, votes are kept, and feedback comes before them."""
    run_recipe(shrunk("judge-7b-absolute", str(tiny_model)), until="split")
    folder = workdir / "runs/judge-7b-absolute/dataset"
    parts = {
        name: [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        for name in ("train", "val")
    }
    rows = [row for part in parts.values() for row in part if "copy_of" not in row["fields"]]
    scores = [row["fields"]["score"] for row in rows]
    assert sorted(scores) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    seen = [{row["fields"]["instruction"] for row in part} for part in parts.values()]
    assert not seen[0] & seen[1]
    told = {row["fields"]["rubric"].splitlines()[0] for row in rows}
    assert told <= {"# Factuality", "# Helpfulness", "# Style"}
    for row in rows:
        assert row["fields"]["judged_p"] == 1.0
        assert row["fields"]["rubric"] in row["messages"][0]["content"]
        assert re.fullmatch(r"It says what .*\nVERDICT: [1-5]", row["messages"][-1]["content"])


def test_the_70b_teacher_is_one_switch_away():
    """The judges' other teacher needs no key and leaves nothing else to change."""
    for name in ("judge-7b-absolute", "judge-7b-pairwise"):
        recipe = load_recipe(name, ["generate.ask=llama"])
        found = check(recipe, {}, read_numbered)
        assert not found.problems
        assert not found.missing_keys
        signal = "train.signal={kind: topk, from: llama, k: 20, via: prompt}"
        more = [signal, "student.model=meta-llama/Llama-3.1-8B-Instruct"]
        assert not check(load_recipe(name, ["generate.ask=llama", *more]), {}).problems


def test_headers_say_what_a_reader_needs():
    """What, hardware, time and cost, source, deviation, last run; no date means not run."""
    for one in RECIPES.values():
        for name in HEADERS:
            assert getattr(one, name), f"{one.name}: {name}"
        assert one.last_run == "not run" or re.match(r"\d{4}-\d{2}-\d{2}", one.last_run)


@pytest.mark.parametrize("name", NAMES)
def test_the_named_gpus_are_large_enough(name):
    """What is worked out for the training leaves a tenth of the memory that the header names."""
    recipe, said = load_recipe(name), RECIPES[name].hardware
    count, size = re.match(r"(one|\d+) GPUs? of (\d+) GB", said).groups()
    found = memory_forecast(recipe, processes=1 if count == "one" else int(count))
    assert found["student"]["total"] < 0.9 * int(size) * 2**30


def test_sample_rows_name_bundled_rubrics():
    """Gold of the absolute judge names rubrics that there are."""
    folder = RECIPES["judge-7b-absolute"].path.parent
    names = {row["rubric"] for row in read_records(folder / "judges/gold-absolute.jsonl")}
    assert names <= bundled_rubrics().keys()
