"""Markdown pages, from the templates beside this file."""

from typing import Any

import jinja2
from markupsafe import Markup

from reports.documents import words

FILTERS = {
    "number": words.number,
    "interval": words.interval,
    "estimate": words.estimate,
    "p": words.p_value,
    "percent": words.percent,
    "margin": words.margin,
    "name": words.markdown,
}


def page(template: str, **values: Any) -> str:
    """Return a page in Markdown.

    A template prints text that a filter made, or else names from the data, which are escaped: so no name can be markup,
    in Markdown or in the HTML that is made of it.

    Args:
        template: The template's name.
        values: The values of its variables.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports.documents"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # it is Markdown, whose escapes are others
        finalize=lambda value: (
            words.markdown(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
        ),
    )
    environment.filters |= {name: _marked(function) for name, function in FILTERS.items()}
    environment.filters["cells"] = lambda row: Markup(" | ".join(row))
    environment.filters["join_names"] = lambda names: Markup(", ".join(words.markdown(name) for name in names))
    return environment.get_template(template).render(words=_Words(), markdown=words.markdown, **values)


class _Words:
    """The functions of `words`, whose sentences are Markdown already."""

    def __getattr__(self, name: str) -> Any:
        return _marked(getattr(words, name))


def _marked(function: Any) -> Any:
    def call(*arguments: Any, **options: Any) -> Any:
        found = function(*arguments, **options)
        return Markup(found) if isinstance(found, str) else found

    return call
