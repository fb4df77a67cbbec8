"""MkDocs' hook: every file of the repository that a page links to becomes part of the site, and so does the notebook.

Pages link to files by their paths in the repository, as GitHub shows them, such as `../agents/ppo.py`. The site has
nothing outside of `docs/`. So README is its first page, a linked program becomes a page with its text, a report a page
with its pictures, and links are changed to these. A link to a folder becomes plain text.
"""

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LINK = re.compile(r"\]\(([^)#\s]+)")
PROGRAMS = {".py": "python", ".sh": "bash", ".yaml": "yaml"}

_PATHS: dict[str, str] = {}
"""The path in the repository of each page whose links are to be changed, by its path in the site."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages link to, and what that links to."""
    root = Path(config.config_file_path).parent
    _PATHS.clear()
    files.append(File.generated(config, "notebook.md", content=_notebook(root / "docs" / "notebook.ipynb")))
    _add(files, config, root, "README.md")
    waiting = ["README.md", *(f"docs/{file.src_uri}" for file in files if (root / "docs" / file.src_uri).is_file())]
    while waiting:
        path = waiting.pop()
        if not path.endswith((".md", ".ipynb")):
            continue
        _PATHS[_in_site(path)] = path
        for target in LINK.findall((root / path).read_text(encoding="utf-8")):
            linked = _resolved(path, target)
            if linked and (root / linked).is_file() and not files.get_file_from_path(_in_site(linked)):
                _add(files, config, root, linked)
                waiting.append(linked)
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page's text with its links changed to the site's."""
    del files
    path = _PATHS.get(page.file.src_uri)
    if path is None:
        return markdown
    root = Path(config.config_file_path).parent

    def without_folder(link: re.Match[str]) -> str:
        linked = _resolved(path, link[2])
        return link[1] if linked and (root / linked).is_dir() else link[0]

    def changed(link: re.Match[str]) -> str:
        linked = _resolved(path, link[1])
        if linked is None:
            return link[0]
        return f"]({posixpath.relpath(_in_site(linked), posixpath.dirname(page.file.src_uri) or '.')}"

    return LINK.sub(changed, re.sub(r"(?<!!)\[([^\[\]]*)\]\(([^)#\s]+)\)", without_folder, markdown))


def _resolved(path: str, target: str) -> str | None:
    """Return the path in the repository to which a page's link leads; None for another site's."""
    return None if ":" in target else posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def _in_site(path: str) -> str:
    """Return where a file of the repository is in the site."""
    if path == "README.md":
        return "index.md"
    if path == "docs/notebook.ipynb":
        return "notebook.md"
    if Path(path).suffix in PROGRAMS:
        return f"project/{path}.md"
    return path.removeprefix("docs/") if path.startswith("docs/") else f"project/{path}"


def _add(files: Files, config: MkDocsConfig, root: Path, path: str) -> None:
    language = PROGRAMS.get(Path(path).suffix)
    if language is None:
        files.append(File.generated(config, _in_site(path), abs_src_path=str(root / path)))
        return
    text = (root / path).read_text(encoding="utf-8").rstrip()
    hidden = "---\nsearch: {exclude: true}\n---\n"
    content = f"{hidden}# {Path(path).name}\n\n`{path}`\n\n``````{language}\n{text}\n``````\n"
    files.append(File.generated(config, _in_site(path), content=content))


def _notebook(path: Path) -> str:
    """Return a notebook as Markdown: its text, its code, and what that printed and drew."""
    return "\n\n".join(_cell(cell) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return source
    return "\n\n".join([f"```python\n{source}\n```", *(_output(output) for output in cell["outputs"])])


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        return f"![Figure](data:image/png;base64,{''.join(data['image/png']).strip()})"
    return f"```text\n{''.join(output.get('text') or data['text/plain']).rstrip()}\n```"
