"""Network files on the web: https://..., or hf://owner/name[/file] on the Hugging Face hub.

Downloads go to the cache, are resumed where they broke off, and checked: against the hub's SHA-256, or against one that
is given behind the address (https://host/file.pkl#sha256=...). Without either, the length is checked at the first
download, and the digest of what came is kept and compared each time. Where the hub cannot be asked, what it gave before
is taken.
"""

import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, quote, unquote, urlsplit

from dnnlib.cache import cache_folder
from dnnlib.downloads import RemoteFile, fetch, sha256_of
from dnnlib.errors import UserError, in_one_line
from dnnlib.files import write_json, write_text
from dnnlib.json_files import read_json
from interop.hub_files import Unreachable, closed, hub, list_files, token
from interop.pickles.families import LARGEST_FILE

NETWORK_FILES = (".safetensors", ".pkl")
_INSTEAD = "give the path of a copy"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HubAddress:
    """hf://owner/name[/file]"""

    repository: str
    file: str | None


def fetch_network(address: str) -> Path:
    """The file at an address, in the cache. Raises UserError when it cannot be fetched, or is another one.

    Where the hub cannot be asked, the file that it last gave for this address; a line on standard error says so.
    """
    if not address.startswith("hf://"):
        return _fetched(web_file(address), address)
    note = cache_folder("networks") / f"{_short_digest(f'{hub()} {address}')}.json"
    try:
        path = _fetched(hub_file(parse_hub(address)), address)
    except Unreachable as error:
        kept = _kept(note)
        if kept is None:
            raise
        print(f"{error}; taken from the cache: {kept.name}", file=sys.stderr)
        return kept
    write_json(note, {"file": f"{path.parent.name}/{path.name}", "sha256": sha256_of(path)}, indent=None)
    return path


def _fetched(file: RemoteFile, address: str) -> Path:
    path = fetch(file, cache_folder("networks") / _short_digest(file.url), show_progress=True)
    if not file.sha256:
        _check_begins_as_network(path, address)
        _check_again(path)
    return path


def _kept(note: Path) -> Path | None:
    """The file that a note of an earlier download names, where it is still the same."""
    try:
        about = read_json(note)
        path = note.parent / about["file"]
        return path if sha256_of(path) == about["sha256"] else None
    except (UserError, TypeError, KeyError):
        return None


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def parse_hub(address: str) -> HubAddress:
    """Raises UserError unless the address is hf://owner/name or hf://owner/name/file."""
    found = re.fullmatch(r"hf://([\w.-]{1,96})/([\w.-]{1,96})(?:/([\w./-]{1,200}))?", address.rstrip("/"), re.ASCII)
    if found is None or ".." in address:
        raise UserError(
            f"{in_one_line(address, 80)}: an address on the hub is hf://owner/name, or hf://owner/name/file"
        )
    return HubAddress(f"{found[1]}/{found[2]}", found[3])


def hub_file(address: HubAddress) -> RemoteFile:
    """The file that an address means, with the size and digest that the hub has of it.

    Without a file's name it has to be the only network there, or the newest of some snapshots.
    """
    where = f"hf://{address.repository}"
    listed = {entry["path"]: entry for entry in list_files(address.repository)}
    name = address.file or _only_network(list(listed), where)
    if name not in listed:
        raise UserError(f"{where}: there is no {name}; there are {_shown(list(listed))}")
    lfs = listed[name].get("lfs")
    facts = lfs if isinstance(lfs, dict) else {}
    digest, size = facts.get("oid", ""), listed[name].get("size", 0)
    known = isinstance(digest, str) and _SHA256.fullmatch(digest) is not None
    size = size if isinstance(size, int) and size >= 0 else 0
    if size > LARGEST_FILE:
        raise UserError(f"{where}: {name} has {size / 1e9:,.0f} GB, which no network of a kind that is read here has")
    url = f"{hub()}/{address.repository}/resolve/main/{quote(name)}"
    to_do = f"a private repository, {closed(address.repository)}"
    return RemoteFile(PurePosixPath(name).name, url, digest if known else "", size, _INSTEAD, token(), to_do)


def web_file(address: str) -> RemoteFile:
    """Of https://host/.../name[#sha256=...]. Raises UserError for addresses without encryption, or without a name."""
    parts = _parts(address)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise UserError(f"{in_one_line(address, 200)}: use https://; what comes over http:// can be changed on its way")
    name = PurePosixPath(unquote(parts.path)).name
    if not re.fullmatch(r"[\w.,+ -]{1,150}", name) or name.startswith("."):
        raise UserError(f"{in_one_line(address, 200)}: the address has to end with the name of a file")
    digest = parts.fragment.removeprefix("sha256=").lower()
    if parts.fragment and not _SHA256.fullmatch(digest):
        raise UserError(f"{in_one_line(address, 200)}: behind # there has to be sha256= and 64 hexadecimal digits")
    return RemoteFile(name, parts._replace(fragment="").geturl(), digest, 0, _INSTEAD)


def _parts(address: str) -> SplitResult:
    """Raises UserError where the host or its port are impossible."""
    try:
        parts = urlsplit(address)
        if parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise UserError(f"{in_one_line(address, 200)}: there is no such host; an address is https://host/.../file")


def _check_begins_as_network(path: Path, address: str) -> None:
    """Raises UserError, and forgets the file, when it is neither a pickle nor an archive nor safetensors."""
    with open(path, "rb") as file:
        start = file.read(9)
    if start[:1] != b"\x80" and start[:4] != b"PK\x03\x04" and start[8:] != b"{":
        path.unlink()
        raise UserError(f"{in_one_line(address, 200)}: what came is no network; is it a page that asks something?")


def _check_again(path: Path) -> None:
    """Where no digest was published: hold the file against the one that it had when it came."""
    noted, digest = path.with_name(f"{path.name}.sha256"), sha256_of(path)
    if not noted.exists():
        write_text(noted, digest + "\n")
    elif noted.read_text().strip() != digest:
        raise UserError(f"{path}: changed since it was downloaded; remove it, and it is fetched again")


def _only_network(names: list[str], where: str) -> str:
    found = sorted(name for name in names if name.endswith(NETWORK_FILES))
    snapshots = [name for name in found if PurePosixPath(name).name.startswith("network-snapshot-")]
    if len(found) == 1 or (snapshots and len(snapshots) == len(found)):
        return found[-1]
    if not found:
        raise UserError(f"{where}: no network there (*.safetensors or *.pkl), but {_shown(names)}")
    raise UserError(f"{where}: several networks there; give {where}/FILE, with one of {_shown(found)}")


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(in_one_line(name, 60) for name in names[:5]) + more
