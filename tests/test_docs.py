"""README and docs: every command that they show has options that exist, and links lead somewhere."""

import re
import shlex
from pathlib import Path

import click
import pytest

import calc_metrics
import convert
import dataset_tool
import edit
import generate
import projector
import style_mixing
import train
import visualize

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TOOLS = {
    "train.py": train.main,
    "generate.py": generate.main,
    "calc_metrics.py": calc_metrics.main,
    "dataset_tool.py": dataset_tool.main,
    "visualize.py": visualize.main,
    "convert.py": convert.main,
    "edit.py": edit.main,
    "projector.py": projector.main,
    "style_mixing.py": style_mixing.main,
}


def commands(page: Path) -> list[list[str]]:
    """The words of every command of ours in the page's code, from the name of the script on."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for block in re.findall(r"```(?:\w*)\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    found = []
    for line in lines:
        match = re.search(rf"({'|'.join(map(re.escape, TOOLS))})( .*|$)", line)
        if match and not line.lstrip().startswith("#"):
            found.append(shlex.split(match[0], comments=True))
    return found


def known_options(tool: str, words: list[str]) -> set[str]:
    command = TOOLS[tool]
    if isinstance(command, click.Group):
        context = click.Context(command)
        names = command.list_commands(context)
        without = {"convert.py": "network", "edit.py": "serve"}.get(tool, "")  # what these two do without a word
        command = command.get_command(context, next((word for word in words if word in names), without)) or command
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_options_of_commands_exist(page: Path):
    for tool, *words in commands(page):
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        assert given <= known_options(tool, words) | {"--help"}, (tool, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_pages_are_reached_from_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("few-images", "learning", "gamma", "notebook", "cluster", "convert", "export"):
        assert f"docs/{name}.md" in text


def test_the_readme_starts_from_what_there_is():
    """Each data set is made by a command above the one that uses it; photos/ alone is the reader's."""
    made = set()
    for tool, *words in commands(ROOT / "README.md"):
        options = dict(word.split("=", 1) for word in words if word.startswith("--") and "=" in word)
        if tool == "dataset_tool.py":
            made.add(options["--dest"])
        elif "--data" in options:
            assert options["--data"] in made, words
