"""Markdown pages, from the templates beside this file."""

from typing import Any

import jinja2

from reports.writing import words

FILTERS = {
    "number": words.number,
    "interval": words.interval,
    "estimate": words.estimate,
    "p": words.p_value,
    "percent": words.percent,
    "margin": words.margin,
}


def page(template: str, **values: Any) -> str:
    """A page. **Arguments**: the template's name, and what it speaks of."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports.writing"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # it is Markdown
    )
    environment.filters |= FILTERS
    return environment.get_template(template).render(words=words, **values)
