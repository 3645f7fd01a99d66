"""The review page: one front end, served or as one offline file."""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from distill.review.pack import Pack

FOLDER = Path(__file__).parent / "page"
SERVED_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a served page may do: load its own script and style, and talk to its own server."""


@cache
def asset(name: str) -> str:
    """The text of page.html, page.css or page.js."""
    return (FOLDER / name).read_text("utf-8")


def served_page() -> str:
    """The page that a server gives; its data comes by requests."""
    return _filled(
        {
            "meta": "",
            "style": '<link rel="stylesheet" href="page.css">',
            "data": "",
            "script": '<script src="page.js"></script>',
        }
    )


def offline_page(pack: Pack) -> str:
    """The pack and the page in one file, which may load nothing and send nothing."""
    style, script = asset("page.css"), asset("page.js")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return _filled(
        {
            "meta": f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n',
            "style": f"<style>{style}</style>",
            "data": f'<script type="application/json" id="data">{_block(page_data(pack))}</script>',
            "script": f"<script>{script}</script>",
        }
    )


def page_data(pack: Pack) -> dict[str, Any]:
    """What the page needs of a pack."""
    found = pack.as_dict()
    found["schema"]["fields"] = [
        {**field, "values": list(field["values"])} for field in found["schema"]["fields"]
    ]
    return found


def _filled(parts: dict[str, str]) -> str:
    # Split once, so that nothing inside a part is taken for a place to fill.
    page = asset("page.html")
    made = []
    while "{{" in page:
        before, rest = page.split("{{", 1)
        name, page = rest.split("}}", 1)
        made += [before, parts[name]]
    return "".join([*made, page])


def _block(data: Any) -> str:
    """JSON that no HTML parser takes for the end of its script element."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
