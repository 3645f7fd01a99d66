"""What people's reviews of a run say about all its rows, for the report."""

from typing import Any

from distill.review.agree import error_rate
from distill.review.log import read_log
from distill.review.pack import read_packs
from distill.rows.stages import read_stage
from distill.run.context import Context
from distill.run.review.place import run_source


def review_part(context: Context) -> dict[str, Any] | None:
    """`error_rate`: the share of wrong rows, from the reviewed ones that were drawn at random.

    It speaks of the rows as the filters left them; merging mends those that were looked at. None
    where nobody has reviewed anything.

    Raises: DataError when the log cannot be read.
    """
    directory = context.directory
    log = read_log(directory.root / "review")
    if not log or directory.done("filter") is None:
        return None
    rows = [row for row in read_stage(directory.stage("filter")) if row.status == "accepted"]
    source = run_source(context.recipe, directory, rows)
    return {
        "rows": len({review.row_id for review in log}),
        "reviewers": len({review.reviewer for review in log}),
        "error_rate": error_rate(source, log, read_packs(source.folder)).as_dict(),
    }
