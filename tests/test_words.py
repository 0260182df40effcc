"""Numbers in messages agree with their nouns."""

import ast
import re
from pathlib import Path

import pytest

from dnnlib.words import counted, first_of
from tests.test_architecture import ROOT, TOOLS, modules

NOUNS = re.compile(
    r" (steps|images|pictures|files|tensors|classes|samples|rounds|seeds|layouts|labels|channels|words|rows|runs)\b"
)
LIMITS = re.compile(r"[A-Z_]{3,}|\bmost\b|\bneeded\b|total|:,|:\.\d")  # these are not 1, and those not whole
NEVER_ONE = {
    "{channels}",  # neither grey nor RGB; and D's at 4x4
    "{config.img_resolution}", "{side}", "{max(sides)}", "{G.img_resolution}",  # 32x32 images
    "{len(numbers)}",  # one name for several classes
    "{self.images}", "{10 * count}", "{len(found.by_name)}",  # 1 of 3 images
    "{max_size}",  # an empty subset
    "{len(seeds)}", "{len(found)}", "{len(self.names)}",  # more than there may be
    "{len(layout)}", "{page.pictures}", "{report.rounds}", "{neighbours}", "{count}",  # never so few
    "{steps.median().item()}",
}  # fmt: skip


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 steps"), (1, "1 step"), (2, "2 steps"), (1000, "1000 steps")]
)  # fmt: skip
def test_a_number_with_its_noun(count: int, words: str):
    assert counted(count, "step") == words


def test_plurals_that_are_made_otherwise():
    assert [counted(n, "class", "classes") for n in (1, 3)] == ["1 class", "3 classes"]


@pytest.mark.parametrize(
    ("names", "words"), [([], ""), (["a"], "a"), (["a", "b", "c"], "a, b, c"), (list("abcde"), "a, b, c and 2 more")]
)
def test_a_list_or_its_beginning(names: list[str], words: str):
    assert first_of(names) == words


def unagreeing(path: Path) -> list[str]:
    """Places of f-strings where a plain number stands before a plural, in code that a user may hear of."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        for number, after in zip(node.values, node.values[1:], strict=False):
            text = ast.unparse(ast.JoinedStr([number]))[2:-1] if isinstance(number, ast.FormattedValue) else None
            follows = after.value if isinstance(after, ast.Constant) else ""
            if text is not None and NOUNS.match(follows) and not LIMITS.search(text) and text not in NEVER_ONE:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {text}{follows[:20]}")
    return found


def test_no_message_counts_one_steps():
    tools = [ROOT / f"{name}.py" for name in sorted(TOOLS) if (ROOT / f"{name}.py").exists()]
    assert [place for path in [*modules().values(), *tools] for place in unagreeing(path)] == []
