"""What a reviewer is told, in plain text that travels with every file."""

from distill.review.pack import Pack

KINDS = {
    "correct": "Each row shows what a model gave. Say whether it is right, or put it right.",
    "gold": "Give your own answer for each row. What a model gave is hidden on purpose.",
    "adjudicate": "Reviewers differed on these rows. Your word is the last one.",
}


def instructions(pack: Pack) -> str:
    """Markdown: what to do, which values there are, the rubric."""
    lines = [
        f"# Review of {pack.name}",
        "",
        KINDS[pack.kind],
        "",
        f"{len(pack.rows)} rows. Fill in the column `decision` of each row:",
        "",
    ]
    if pack.kind == "gold":
        lines += ["- edit: your answer stands in the columns new_..."]
    else:
        lines += [
            "- accept: everything is right as it is",
            "- edit: put what is right into the columns new_...; leave the others empty",
        ]
    lines += [
        "- reject: the row is no good and cannot be mended; say why with a tag or a comment",
        "- skip: you cannot tell",
        "",
        "Leave a row empty to do it later. Write your name into `reviewer`. Columns in_... are for",
        "reading: changes there are ignored. Do not change row_id and the hashes. A cell with an",
        "apostrophe in front is text that a spreadsheet might take for a formula.",
        "",
    ]
    for field in pack.schema.fields:
        if field.values:
            told = ", ".join(str(value) for value in field.values)
            more = "" if field.closed else " (or another value)"
            lines.append(f"new_{field.name}: {told}{more}")
    lines += ["", f"tags (any of, with commas between): {', '.join(pack.schema.tags)}", ""]
    if pack.schema.rubric:
        lines += ["## Rubric", "", pack.schema.rubric.strip(), ""]
    return "\n".join(lines)
