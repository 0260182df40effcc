"""The page's files."""

from importlib import resources

SUFFIXES = (".html", ".css", ".js", ".svg")


def page_files() -> dict[str, bytes]:
    """{name: contents} of all of them."""
    inside = resources.files("editing.page").iterdir()
    return {file.name: file.read_bytes() for file in inside if file.name.endswith(SUFFIXES)}
