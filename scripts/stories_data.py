"""Makes the data of recipes/examples/stories.yaml from a JSON array of stories.

Usage: python scripts/stories_data.py STORIES.json FOLDER [--train 900] [--gold 100]
Writes FOLDER/pool.jsonl (openings) and FOLDER/gold.jsonl (openings with their real continuations).
An opening is the first characters of a story; opening and continuation together fit the teacher's
context of 256 characters. The stories of gold are the last ones and share nothing with the pool.
"""

import argparse
import json
from pathlib import Path

OPENING = 32
LENGTH = 160
"""Characters in all; with a character vocabulary also tokens."""


def split_story(story: str) -> dict[str, str]:
    """A story's opening and its continuation, with white space folded to single spaces."""
    text = " ".join(story.split())
    return {"opening": text[:OPENING], "continuation": text[OPENING:LENGTH]}


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    print(f"{len(rows)} rows -> {path}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("stories", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=900)
    parser.add_argument("--gold", type=int, default=100)
    args = parser.parse_args()
    stories = [split_story(story) for story in json.loads(args.stories.read_text("utf-8"))]
    assert len(stories) >= args.train + args.gold, f"only {len(stories)} stories"
    args.folder.mkdir(parents=True, exist_ok=True)
    write(
        args.folder / "pool.jsonl", [{"opening": row["opening"]} for row in stories[: args.train]]
    )
    write(args.folder / "gold.jsonl", stories[-args.gold :])


if __name__ == "__main__":
    main()
