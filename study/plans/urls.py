"""Storage URLs as they may be printed."""

import re
from urllib.parse import unquote_plus

FILES = ("journal:", "sqlite:")
"""How the URLs of files begin: what stands before an @ is a part of their path."""

_USER = re.compile(r"^((?:[\w+.-]+:/+)?+[^:/@?]*:).*@", re.DOTALL)
"""Up to the last @, since an unescaped password may have one itself."""
_PARAMETER = re.compile(r"([?&])([^=&]*)=[^&]*")
_FRAGMENT = re.compile("#.+", re.DOTALL)
_SECRET = re.compile("pass|pwd|secret|token|key|auth|credential|options", re.IGNORECASE)


def without_password(url: str) -> str:
    """Return a storage URL with `***` for each password, whether or not the URL is well-formed.

    SQLAlchemy's own `render_as_string` refuses malformed URLs, which are those that errors print. It shows passwords in
    the query string, and what follows an @ in a password.
    """
    if url.startswith(FILES):
        return _PARAMETER.sub(_masked, url)
    return _FRAGMENT.sub("#***", _PARAMETER.sub(_masked, _USER.sub(r"\1***@", url)))


def _masked(parameter: re.Match[str]) -> str:
    separator, name = parameter.groups()
    return f"{separator}{name}=***" if _SECRET.search(unquote_plus(name)) else parameter[0]
