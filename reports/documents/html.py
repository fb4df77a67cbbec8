"""The report as one HTML file, with its pictures in it."""

import base64
import html
import re
from pathlib import Path

from markdown_it import MarkdownIt

STYLE = """
:root { color-scheme: light dark; --line: #ddd; --shade: #f5f5f5 }
@media (prefers-color-scheme: dark) {
  :root { --line: #444; --shade: #262626 }
  body { background: #161616; color: #ddd }
  img { background: #fff }
  a { color: #8ab4f8 }
}
@media (prefers-color-scheme: light) { body { background: #fff; color: #222 } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  overflow-wrap: anywhere }
table { border-collapse: collapse; font-size: 0.85em; display: block; overflow-x: auto; overflow-wrap: normal }
td, th { border: 1px solid var(--line); padding: 0.2em 0.6em; text-align: left; vertical-align: top }
img { max-width: 100%; height: auto }
code, pre { background: var(--shade) }
pre { padding: 0.6em; overflow-x: auto }
summary { cursor: pointer }
"""


def page(text: str, folder: Path) -> str:
    """Return a report in Markdown as a page that needs no other file.

    Args:
        text: The report.
        folder: The folder of its figures.
    """
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)

    def embedded(found: re.Match[str]) -> str:
        picture = (folder / found[1]).with_suffix(".svg")
        return f'src="data:image/svg+xml;base64,{base64.b64encode(picture.read_bytes()).decode()}"'

    body = re.sub(r'src="([\w-]+\.png)"', embedded, body)
    title = text.splitlines()[0].lstrip("# ")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
