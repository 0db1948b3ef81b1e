"""Pages that hold everything they show: a template, the style that all of them share, no script."""

from __future__ import annotations

from pathlib import Path
from string import Template

_STYLE = Path(__file__).with_name("page.css")


def render_page(template: Path, **parts: object) -> str:
    """Fill a template; `style` is the shared one.

    Args:
        template: has `$name` for each part, and `$style`.
        parts: HTML; escaping is the caller's.
    """
    style = _STYLE.read_text(encoding="utf-8")
    return Template(template.read_text(encoding="utf-8")).substitute(style=style, **parts)
