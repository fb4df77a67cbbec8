"""The report as one HTML file, with its pictures in it."""

import base64
import re
from pathlib import Path

from markdown_it import MarkdownIt

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; font-size: 0.85em; display: block; overflow-x: auto }
td, th { border: 1px solid #ddd; padding: 0.2em 0.6em; text-align: left; vertical-align: top }
img { max-width: 100% }
code, pre { background: #f5f5f5 }
pre { padding: 0.6em; overflow-x: auto }
summary { cursor: pointer }
"""


def page(text: str, folder: Path) -> str:
    """A report in Markdown as a page that needs no other file. **Arguments**: `folder`, where its pictures are."""
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)

    def embedded(found: re.Match[str]) -> str:
        picture = (folder / found[1]).with_suffix(".svg")
        return f'src="data:image/svg+xml;base64,{base64.b64encode(picture.read_bytes()).decode()}"'

    body = re.sub(r'src="([\w-]+\.png)"', embedded, body)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Which part is round-off?</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
