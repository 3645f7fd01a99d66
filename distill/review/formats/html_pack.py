"""HTML: the pack and the page in one offline file; what is decided is downloaded as JSONL."""

from pathlib import Path

from distill.review.pack import Pack
from distill.review.page_files import offline_page
from distill.rows.atomic import atomic_file


def write(pack: Pack, path: Path) -> list[str]:
    """Writes the page."""
    with atomic_file(path) as file:
        file.write(offline_page(pack))
    return ["open it in a browser; import the .jsonl that its Download button saves"]
