"""Images that cannot be read: counted by name, and how many are too many."""

from collections.abc import Mapping

from dnnlib.errors import UserError
from dnnlib.words import counted

ALLOWED_SHARE = 0.01  # of a data set's images
IN_A_ROW = 100  # neighbours that cannot be read either


class Damage:
    """`found`: {file name: what is wrong with it}, in the order found; `allowed`: how many a run puts up with.

    That is one image in a hundred, but at least one, and never all.
    """

    def __init__(self, path: str, images: int):
        self.path, self.images = path, images
        self.found: dict[str, str] = {}
        self.allowed = min(max(int(images * ALLOWED_SHARE), 1), images - 1)

    def add(self, found: Mapping[str, str]) -> None:
        """Count these, too. Raises UserError when there are now too many."""
        self.found |= found
        if len(self.found) > self.allowed:
            first = next(iter(self.found.values()))
            raise UserError(
                f"{self.path}: {len(self.found)} of {self.images} images cannot be read, more than the {self.allowed} "
                f"that are passed over; the first: {first}"
            )

    def hopeless(self, last: str) -> UserError:
        """The error for a long row of images none of which can be read; `last`: what is wrong with the last one."""
        return UserError(
            f"{self.path}: {counted(min(IN_A_ROW, self.images), 'image')} in a row cannot be read; the last: {last}"
        )
