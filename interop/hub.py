"""To the Hugging Face hub, by its own library: a snapshot with its card."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dnnlib.errors import REASON, UserError, in_one_line
from interop.cards import write_card
from interop.hub_files import LOG_IN, hub
from interop.optional import needed
from interop.remote import parse_hub
from training.runs.snapshot import find_snapshot
from training.sampling import Model


def push(address: str, source: str, license_name: str, private: bool = False) -> str:
    """Upload a snapshot and its card to hf://owner/name; returns the page's address.

    The token is the one that the hub's own library finds (HF_TOKEN, or `hf auth login`). Files arrive in one commit, so
    the repository has all of them or none. Raises UserError when that library is missing, or when the hub refuses; it
    says what remains there.
    """
    target = parse_hub(address)
    if target.file is not None:
        raise UserError(f"{address}: give hf://owner/name alone; files keep their names")
    library = needed("huggingface_hub", extra="hub")
    path = find_snapshot(source)
    model = Model.load(path, "cpu", precision="float32")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.symlink_to(path.resolve())
        write_card(model, Path(folder), license_name, path, [path.name])
        api, repository = library.HfApi(endpoint=hub()), target.repository
        if not sys.stderr.isatty():
            library.utils.disable_progress_bars()
        with _said_of(address, "nothing has been made there"):
            api.create_repo(repository, private=private, exist_ok=True)
        remains = f"{hub()}/{repository} is there, with all files of this upload or none; the same command tries again"
        with _said_of(address, remains):
            api.upload_folder(repo_id=repository, folder_path=folder, commit_message=f"{model.kimg:g} kimg")
    return f"{hub()}/{target.repository}"


@contextmanager
def _said_of(address: str, remains: str) -> Iterator[None]:
    """What the hub, the network and the token may object to, of the library's many kinds, becomes a UserError."""
    try:
        yield
    except Exception as error:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # a bar of the library's may stand there
        cause = error.__cause__ or error  # of a large file, the library's own error says its name alone
        reason = in_one_line(error if str(cause) in str(error) else f"{error} {cause}", REASON)
        status = getattr(getattr(cause, "response", None), "status_code", 0)
        to_do = {401: f"; {LOG_IN}", 403: "; HF_TOKEN has to be a token that may write there"}.get(status, "")
        raise UserError(f"{address}: not uploaded ({reason}){to_do}; {remains}") from error
