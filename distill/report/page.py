"""What our pages are made of: one template environment, plotly's script, hashes, inert JSON."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from distill.report import figures

SHORT = 100
"""Characters of JSON that stand on one line."""
TEMPLATES = Path(__file__).parent / "templates"


def read_template(name: str) -> str:
    """A file beside the templates, as it is."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def words(value: Any) -> str:
    """A field's value as it is shown."""
    if value is None:
        return "(no answer)"
    if isinstance(value, str):
        return value
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= SHORT else json.dumps(value, ensure_ascii=False, indent=1)


def environment() -> Environment:
    """The environment of all pages: whatever comes from a row is escaped."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        title=figures.title,
        number=_number,
        duration=_duration,
        moment=_moment,
        written=lambda text: json.dumps(text, ensure_ascii=False),
    )
    return made


def render_page(
    template: str, drawn: Mapping[str, str], styles: Sequence[str], **values: Any
) -> str:
    """A whole page as one string: no network, all text of rows escaped.

    Args:
        template: Its file.
        drawn: Plot name -> figure as JSON; without any the page holds no script.
        styles: Style sheets, in order.
        values: What else the template shows.
    """
    scripts = [plotly_js(), read_template("draw.js")] if drawn else []
    page = (
        environment()
        .get_template(template)
        .render(
            **values,
            plots={name: json_block(figure) for name, figure in drawn.items()},
            style=Markup("".join(map(read_template, styles))),
            scripts=[Markup(script) for script in scripts],
            hashes=[script_hash(script) for script in scripts],
        )
    )
    # A lone surrogate in a row cannot be written as UTF-8.
    return page.encode("utf-8", "replace").decode("utf-8")


def _number(value: float | None, digits: int = 0) -> str:
    return figures.MISSING if value is None else f"{value:,.{digits}f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _moment(started: str) -> str:
    """An ISO time to the minute; anything else as it is."""
    try:
        when = datetime.fromisoformat(started)
    except ValueError:
        return started
    zone = f" {when.tzname()}" if when.tzinfo else ""
    return f"{when:%Y-%m-%d %H:%M}{zone}"


def plotly_js() -> str:
    """The plot library's own script."""
    from plotly.offline import get_plotlyjs

    code: str = get_plotlyjs()
    return code


def json_block(text: str) -> Markup:
    """JSON that cannot end its own script element."""
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e"))


def script_hash(script: str) -> str:
    """The hash by which a content security policy lets a script run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
