"""What the Hugging Face hub says of a repository's files, page by page, and who asks."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from dnnlib.downloads import Bearer, is_private, leave_redirection
from dnnlib.errors import REASON, UserError, in_one_line
from dnnlib.json_files import parse_json

HUB = "https://huggingface.co"
ENDPOINT = "HF_ENDPOINT"  # the hub's address, as its own library has it
LOG_IN = "log in by `hf auth login`, or set HF_TOKEN"
TIMEOUT = 30  # seconds
MOST_PAGES = 100  # of a list; the hub puts a thousand files on one
_LONGEST_PAGE = 4 << 20  # bytes


class Unreachable(UserError):
    """The hub does not answer, or cannot be reached."""


def hub() -> str:
    """The hub's address, without a slash at its end."""
    return os.environ.get(ENDPOINT, HUB).rstrip("/")


def token() -> str:
    """The user's token, found as the hub's own library finds it: HF_TOKEN, or what `hf auth login` has kept.

    "" where there is none, or where the hub's address is one at which others could read it on its way.
    Raises UserError when it cannot be a token; the message does not show it.
    """
    if not is_private(hub()):
        return ""
    found = (os.environ.get("HF_TOKEN") or _kept_token()).strip()
    if found and re.fullmatch(r"[\x21-\x7e]{1,1000}", found) is None:
        raise UserError(f"the hub's token has characters that no token has; {LOG_IN}")
    return found


def list_files(repository: str) -> list[dict[str, Any]]:
    """What the hub says of each file of a repository: `path`, `size`, perhaps `lfs`.

    Raises Unreachable where it cannot be asked, UserError where it does not say.
    """
    where, asks = f"hf://{repository}", token()
    entries, following = _page(f"{hub()}/api/models/{repository}/tree/main?recursive=true", where, asks)
    pages = 1
    while following is not None:
        if pages == MOST_PAGES:
            raise UserError(
                f"{where}: the hub's list has more than {MOST_PAGES} pages; give hf://owner/name of a smaller one"
            )
        page, following = _page(following, where, asks)
        entries += page
        pages += 1
    return [entry for entry in entries if entry.get("type") == "file"]


def _kept_token() -> str:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{cache}/huggingface"
    try:
        path = Path(os.environ.get("HF_TOKEN_PATH") or f"{home}/token").expanduser()
        return path.read_text("ascii")
    except (OSError, ValueError, RuntimeError):
        return ""


def _page(url: str, where: str, asks: str) -> tuple[list[dict[str, Any]], str | None]:
    """The entries at `url`, and the next page's address where there is one."""
    how: dict[str, Any] = {"timeout": TIMEOUT, "stream": True, "hooks": {"response": leave_redirection}}
    try:
        with requests.get(url, auth=Bearer(asks) if asks else None, **how) as answer:
            _check_admitted(answer, where, asks)
            answer.raise_for_status()
            text = answer.raw.read(_LONGEST_PAGE, decode_content=True)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        is_away = isinstance(error, requests.ConnectionError | requests.Timeout)
        reason = "no network, or it does not answer" if is_away else in_one_line(error, REASON)
        raise Unreachable(f"{where}: the hub cannot be asked ({reason})") from error
    listed = parse_json(text, where)
    if not isinstance(listed, list) or not all(isinstance(e, dict) and isinstance(e.get("path"), str) for e in listed):
        raise UserError(f"{where}: the hub's answer is not understood")
    return listed, _next(answer, url, where)


def _next(answer: requests.Response, url: str, where: str) -> str | None:
    """The same address with the next page's query: whatever host the answer names, no other one is asked."""
    link = answer.links.get("next", {}).get("url")
    try:
        return urlsplit(url)._replace(query=urlsplit(urljoin(url, link)).query).geturl() if link else None
    except ValueError as error:  # such as brackets that hold no IPv6 address
        raise UserError(f"{where}: the hub's link to its next page is not understood") from error


def _check_admitted(answer: requests.Response, where: str, asks: str) -> None:
    """Raises UserError where the hub shows the repository to nobody, or not to us."""
    status = answer.status_code
    if status == requests.codes.not_found:
        hidden = "" if asks else f", or a private one: {LOG_IN}"
        raise UserError(f"{where}: no such repository on the hub{hidden}; is its name right?")
    if status == requests.codes.unauthorized and asks:
        raise UserError(f"{where}: no such repository, or the hub does not take the token that is set; {LOG_IN}")
    if status == requests.codes.unauthorized:
        raise UserError(f"{where}: no such repository on the hub, or a private one: {LOG_IN}")
    if status == requests.codes.forbidden:
        raise UserError(f"{where}: a private repository, {closed(where.removeprefix('hf://'))}")


def closed(repository: str) -> str:
    """What to do about a repository that the hub does not open to everybody."""
    return f"or one that gives access on request: ask for it at {hub()}/{repository}, then {LOG_IN}"
