"""README, docs and pages at the doors: commands are right, the names that they use exist, links lead somewhere."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from dnnlib.errors import UserError
from metrics.registry import find
from tests.test_architecture import ALLOWED, tracked_files
from tests.test_command_lines import MODULES, parameters
from tests.test_packaging import COMMANDS
from training.config import RunConfig
from training.presets.keys import SHARED, known_keys
from training.presets.options import Options
from training.presets.resolve import DataFacts, assumed_condition, condition_of, resolve

ROOT = Path(__file__).parents[1]
PAGES = [path for path in tracked_files() if path.suffix == ".md" and not path.is_relative_to(ROOT / "tests")]
PACKAGES = "|".join(ALLOWED)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())

# Modules with a `main` by the words that start them.
PROGRAMS = {f"{target.partition(':')[0]}.py": target.partition(":")[0] for target in COMMANDS.values()}
PROGRAMS |= {name: target.partition(":")[0] for name, target in COMMANDS.items()}
PROGRAMS |= {f"-m {module}": module for module in MODULES}
PROGRAMS |= {"tools/slurm.sh": "train", "-m torch_utils.ops": "torch_utils.ops.__main__"}
START = re.compile(rf"(?:^|\s|/|!)(-m (?:{PACKAGES})[\w.]*|\w+\.py|steergan-[\w-]+|tools/slurm\.sh)(?= |$)(.*)")
FOREIGN = {"--help", "--requeue", "--signal", "--dependency"}  # click's, Slurm's
OTHERS = ("pip ", "pytest ", "tensorboard ", "%")  # commands of others, in prose
PRODUCTS = {"load.py", "photos/"}  # a file of a bundle; the folder of whoever reads


class Shown(NamedTuple):
    """A command of ours in a page: the words that start it, and those after them."""

    program: str
    words: list[str]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each block of code, continued lines joined."""
    for language, code in re.findall(r"```(\w*)\n(.*?)```", text_of(page), re.DOTALL):
        yield language, code.replace("\\\n", " ")


def shell_lines(page: Path) -> list[str]:
    """Lines of code for a shell, comments left out; those of notebooks begin with !."""
    lines = [line.strip() for language, code in blocks(page) for line in code.splitlines()
             if language in ("", "bash", "sh") or line.startswith("!")]  # fmt: skip
    return [line for line in lines if not line.startswith("#")]


def commands(page: Path) -> list[Shown]:
    """Every command of ours in the page's code."""
    return [Shown(found[1], shlex.split(found[2], comments=True)) for line in shell_lines(page)
            if (found := START.search(line)) is not None and not found[1].startswith("demo")]  # fmt: skip


def inline(page: Path) -> list[str]:
    """Code within prose, on one line each."""
    prose = re.sub(r"```.*?```|<!--.*?-->", "", text_of(page), flags=re.DOTALL)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]


@cache
def sources() -> str:
    """All code, configurations and names of files that are tracked."""
    kinds = {".py", ".yaml", ".toml", ".sh", ".js", ".cpp", ".h", ".cu"}
    files = [path for path in tracked_files() if path.suffix in kinds or path.name == "Makefile"]
    names = [path.relative_to(ROOT).as_posix() for path in tracked_files()]
    return "\n".join([*names, *(path.read_text(encoding="utf-8") for path in files)])


@cache
def all_options() -> set[str]:
    """Of all programs together."""
    programs = [target.partition(":")[0] for target in COMMANDS.values()]
    found = (each for module in [*programs, *MODULES, "demo"] for _, each in parameters(module))
    return {name for each in found for name in (*each.opts, *each.secondary_opts)}


@pytest.fixture
def arguments(monkeypatch: pytest.MonkeyPatch):
    """arguments(shown): what a command's function would be called with; raises what click says against its words."""
    called: list[dict[str, Any]] = []
    monkeypatch.setattr(click.Context, "invoke", lambda context, function, /, *about, **named: called.append(named))

    def parse(shown: Shown) -> dict[str, Any]:
        assert shown.program in PROGRAMS, shown
        words = [word for word in shown.words if not word.startswith("--plugin=")]  # loads what is not there
        importlib.import_module(PROGRAMS[shown.program]).main.main(words, standalone_mode=False)
        return called.pop() if called else {}  # --help calls nothing

    return parse


# ---- commands


@each_page
def test_commands_have_arguments_that_they_take(page: Path, arguments):
    said = {f"{shown.program} {shlex.join(shown.words)}": complaint(shown, arguments) for shown in commands(page)}
    assert {command: against for command, against in said.items() if against is not None} == {}


def complaint(shown: Shown, arguments) -> str | None:
    """What click says against a command's words; None: nothing."""
    try:
        arguments(shown)
    except click.ClickException as error:
        return error.format_message()
    return None


@each_page
def test_metrics_of_commands_exist(page: Path):
    words = [word for shown in commands(page) for word in shown.words if word.startswith("--metrics=")]
    names = {name for word in words for name in word.split("=")[1].split(",")}
    assert {name for name in names if not is_metric(name)} <= {"none", "brightness"}  # docs/extending.md makes that one


def test_commands_are_found():
    programs = [shown.program for page in PAGES for shown in commands(page)]
    assert len(programs) > 130
    assert {"train.py", "edit.py", "-m benchmarks.data", "-m experiments.steer", "tools/slurm.sh"} <= set(programs)


@each_page
def test_trainings_have_settings_that_fit_together(page: Path, arguments):
    for config in trainings(page, arguments):
        assert isinstance(config, RunConfig)


def trainings(page: Path, arguments) -> Iterator[RunConfig]:
    """What each train.py of a page would be, but for those that go on with a run and those of plugins."""
    for shown in commands(page):
        if PROGRAMS[shown.program] != "train" or any(word.startswith("--plugin=") for word in shown.words):
            continue
        given = {name: value for name, value in arguments(shown).items() if value is not None}
        options = Options(**{name: value for name, value in given.items() if name in Options.__dataclass_fields__})
        if options.resume is None and not given.get("go_on"):
            name = Path(options.data or "").stem.strip(".") or "images"
            side = re.search(r"(?<=[a-z])\d+$", name)
            labels = 10 if options.cond else 0
            facts = DataFacts(name, int(side[0]) if side else 256, 3, 5000, labels)  # critters32: 32x32
            facts = assumed_condition(facts, condition_of(options))
            if options.cond and not facts.label_dim:  # the page says how labels come about
                facts = replace(facts, label_dim=3, class_names=("a", "b", "c"))
            yield resolve(replace(options, data=options.data or "images"), facts)


@each_page
def test_runs_have_the_names_that_trainings_give_them(page: Path, arguments):
    """Where a page trains into runs/ and names a run there whole, that is the name of one of its trainings."""
    names = {config.name for config in trainings(page, arguments)}
    used = set(re.findall(r"runs/\d{5}-([\w-]*\w)(?![\w.-]*\.\.\.)", "\n".join(shell_lines(page))))
    others = {"demo", "critters32-demo-spatialgan"}  # any run; README's
    assert {name for name in used if names and name not in names} <= others


@each_page
def test_shells_leave_arguments_as_they_are(page: Path):
    """zsh, the shell of macOS, ends a command whose unquoted brackets, stars and question marks match no file."""
    for line in shell_lines(page):
        bare = re.sub(r"'[^']*'|\"[^\"]*\"|\s#.*", "", line)
        assert not re.search(r"(python|pip|\.py)\b.*[][*?]", bare), line
    for code in inline(page):
        assert not re.search(r"pip install [^']*\[", code), code


def test_the_readme_starts_from_what_there_is():
    """Each data set is made by a command above the one that uses it; photos/ alone is the reader's."""
    made = set()
    for program, words in commands(ROOT / "README.md"):
        options = dict(word.split("=", 1) for word in words if word.startswith("--") and "=" in word)
        if program == "dataset_tool.py":
            made.add(options["--dest"])
        elif "--data" in options:
            assert options["--data"] in made, words


def test_what_the_readme_makes_is_not_taken_for_code():
    """git leaves what README's commands write alone."""
    ignored = text_of(ROOT / ".gitignore").split()
    words = [word for _, words in commands(ROOT / "README.md") for word in words]
    written = {word.split("=", 1)[1] for word in words if word.startswith(("--outdir=", "--dest=", "--json="))}
    folders = {f"/{path.split('/')[0]}/" for path in written if "." not in path.split("/")[0]} | {"/demo/"}
    assert folders <= set(ignored)
    assert {f"/{path}" for path in written if "/" not in path and "." in path} <= set(ignored)


# ---- names


@each_page
def test_options_within_prose_exist(page: Path):
    for code in inline(page):
        named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", code))
        assert code.startswith(OTHERS) or named - FOREIGN <= all_options(), code


@each_page
def test_settings_that_pages_name_exist(page: Path):
    sections = {*RunConfig.model_fields, *SHARED, "encoding"}
    for code in [*inline(page), *(code for _, code in blocks(page))]:
        for key in re.findall(r"--set[ =]'?([\w.]+)", code):
            assert key in known_keys() or key == "key", code
        name = re.match(r"([a-z]\w*(?:\.[a-z]\w*)+)(?:[=:].*)?$", code)
        if name and name[1].split(".")[0] in sections - {"plugins"} and not name[1].endswith((".py", ".json")):
            assert name[1] in known_keys() or f"generator.{name[1]}" in known_keys(), code


@each_page
def test_files_that_pages_name_exist(page: Path):
    for code in inline(page):
        if re.fullmatch(r"[\w.-]+(?:/[\w.-]+)*\.(?:py|md|sh|yaml|ipynb|js|cpp)|(?:[a-z_]+/)+", code):
            bases = (page.parent, ROOT, ROOT / "training", ROOT / "interop", ROOT / "tests")
            somewhere = f"/{code}" if code.endswith("/") else f"/{code}\n"
            exists = any((base / code).exists() for base in bases) or somewhere in sources()
            assert exists or code in PRODUCTS, code


@each_page
def test_identifiers_that_pages_name_are_in_the_code(page: Path):
    words = {word for code in inline(page) for word in re.findall(r"[A-Za-z_][A-Za-z_0-9]*", code)
             if re.fullmatch(r"[A-Z][a-z]+[A-Z]\w+|[a-z]\w*_\w+|[A-Z0-9]+_[A-Z0-9_]+", word)}  # fmt: skip
    known = set(re.findall(r"\w+", sources())) | {"load_ext"}  # IPython's
    assert {word for word in words - known if not is_metric(word)} == set()


def is_metric(name: str) -> bool:
    try:
        find(name)
    except UserError:
        return False
    return True


@each_page
def test_modules_that_pages_import_have_what_they_import(page: Path):
    texts = [re.sub(r"(?m)^[!%].*", "", code) for language, code in blocks(page) if language == "python"]
    imports = [node for text in texts for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    dotted = [code for code in inline(page)
              if re.fullmatch(rf"(?:{PACKAGES})(?:\.\w+)+", code) and not code.endswith(".py")]  # metrics.py is a file
    for name in [*(f"{node.module}.{each.name}" for node in imports for each in node.names), *dotted]:
        if re.match(rf"(?:{PACKAGES})\.", name) and not is_module(name):
            module, _, last = name.rpartition(".")
            assert hasattr(importlib.import_module(module), last), name


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").exists()


@each_page
def test_make_has_what_pages_make(page: Path):
    targets = set(re.findall(r"(?m)^([a-z-]+):", text_of(ROOT / "Makefile")))
    code = [*inline(page), *shell_lines(page)]
    made = [re.sub(r"#.*|\".*?\"", "", line).split()[1:] for line in code if line.startswith("make ")]
    assert {word for words in made for word in words if re.fullmatch(r"[a-z-]+", word)} <= targets


# ---- links


@each_page
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#]+)", text_of(page)) + re.findall(r'src="([^"]+)"', text_of(page)):
        assert target.startswith("http") or (page.parent / target).exists(), target
    for target, section in re.findall(r"\]\(([^)#:]*)#([\w-]+)\)", text_of(page)):
        headings = re.findall(r"(?m)^#+ (.*)", text_of(page.parent / target if target else page))
        assert section in {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in headings}, section


def test_pages_are_reached_from_the_readme():
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    found, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        links = {(page.parent / link).resolve() for link in re.findall(r"\]\(([^)#]+\.md)", text_of(page))}
        todo += [link for link in links - found if link.exists()]
        found |= links
    assert {page for page in pages if ROOT / page not in found} == set()
