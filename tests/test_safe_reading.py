"""No file that is read can run anything: the source tree is searched for the calls that could let it."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.test_architecture import ROOT, modules, tracked_files

IMAGE_OPENING = "training.data.image_formats"  # the one module that gives files to Pillow

# Modules whose readers make whatever objects a file asks for. pickle's name is needed for the exception that torch.load
# raises; what may be taken from it is below.
UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
HARMLESS = {"pickle.UnpicklingError", "pickle.PicklingError", "pickle.dumps"}
# Readers that are safe with one argument, and that argument.
SAFE_WITH = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}
# Readers that there is no safe way to call.
FORBIDDEN = re.compile(
    r"Image\.open|imageio(\.v\d)?\.(imread|mimread|imiter|get_reader|imopen)|(plt|pyplot|matplotlib\.image)\.imread|"
    r"cv2\.imread|(io\.|tv_tensors\.)?(read_image|decode_image)|yaml\.(load|unsafe_load|full_load|load_all)|"
    r"np\.(fromfile|genfromtxt)|eval|exec"
)


@cache
def sources() -> dict[str, str]:
    """{file: text} of everything that is not a test."""
    files = [path for path in tracked_files() if path.suffix == ".py" and "tests" not in path.relative_to(ROOT).parts]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files}


def unsafe(text: str, may_open_images: bool = False) -> list[str]:
    """The calls and imports of a source text that could run what a file says, as "line: call"."""
    return [f"{line}: {what}" for line, what in _unsafe(ast.parse(text), may_open_images)]


def _unsafe(tree: ast.AST, may_open_images: bool) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNPICKLERS:
            yield node.lineno, f"from {node.module} import"
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("PIL"):
            yield from ((node.lineno, "from PIL.Image import open") for name in node.names if name.name == "open")
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if name.split(".")[0] in UNPICKLERS and name not in HARMLESS:
                yield node.lineno, name
        if isinstance(node, ast.Call):
            yield from _unsafe_call(node, may_open_images)


def _unsafe_call(call: ast.Call, may_open_images: bool) -> Iterator[tuple[int, str]]:
    name = ast.unparse(call.func)
    keywords = {word.arg: word.value for word in call.keywords}
    if name == "Image.open" and may_open_images and "formats" in keywords:
        return
    if name in SAFE_WITH:
        word, value = SAFE_WITH[name]
        given = keywords.get(word)
        if not isinstance(given, ast.Constant) or given.value is not value:
            yield call.lineno, f"{name} without {word}={value}"
    elif FORBIDDEN.fullmatch(name):
        yield call.lineno, name


@pytest.mark.parametrize("file", sources())
def test_no_file_that_is_read_can_run_anything(file: str):
    opens = modules().get(IMAGE_OPENING) == ROOT / file
    assert unsafe(sources()[file], may_open_images=opens) == []


def test_pillow_is_given_files_in_one_place():
    assert "Image.open(" in modules()[IMAGE_OPENING].read_text(encoding="utf-8")


WAITING = re.compile(r"subprocess\.(run|call|check_call|check_output|getoutput|getstatusoutput)")
SHELLS = re.compile(r"os\.(system|popen|spawn\w+|exec\w+)|subprocess\.(getoutput|getstatusoutput)|pty\.spawn")


def uncontrolled(text: str) -> list[str]:
    """Calls of a source text that wait for a command without a limit, or give it to a shell, as "line: call"."""
    return [f"{line}: {what}" for line, what in _uncontrolled(ast.parse(text))]


def _uncontrolled(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "subprocess":
            yield node.lineno, "from subprocess import"  # the calls could not be told by their names
        if isinstance(node, ast.Import):
            yield from ((node.lineno, "import as") for name in node.names if name.name == "subprocess" and name.asname)
        if isinstance(node, ast.Call):
            yield from _uncontrolled_call(node)


def _uncontrolled_call(call: ast.Call) -> Iterator[tuple[int, str]]:
    name, keywords = ast.unparse(call.func), {word.arg: word.value for word in call.keywords}
    if SHELLS.fullmatch(name):
        yield call.lineno, name
    if "shell" in keywords and ast.unparse(keywords["shell"]) != "False":
        yield call.lineno, f"{name} with shell"
    if WAITING.fullmatch(name) and ast.unparse(keywords.get("timeout", ast.Constant(None))) == "None":
        yield call.lineno, f"{name} without timeout"


@pytest.mark.parametrize("file", sources())
def test_every_command_has_a_time_limit_and_no_shell(file: str):
    assert uncontrolled(sources()[file]) == []


@pytest.mark.parametrize(
    "text, count",
    [
        ("subprocess.run(words)", 1),
        ("subprocess.run(words, timeout=None)", 1),
        ("subprocess.run(words, timeout=LIMIT)", 0),
        ("subprocess.run(words, timeout=LIMIT, shell=True)", 1),
        ("subprocess.Popen(words, shell=wanted)", 1),
        ("subprocess.Popen(words)", 0),
        ("subprocess.check_output(words)", 1),
        ("from subprocess import run", 1),
        ("import subprocess as sp", 1),
        ("os.system(text)", 1),
    ],
)
def test_what_counts_as_uncontrolled(text: str, count: int):
    assert len(uncontrolled(text)) == count


@pytest.mark.parametrize(
    "text, count",
    [
        ("Image.open(file)", 1),
        ("Image.open(file, formats=['PNG'])", 1),  # the list is kept in one place
        ("from PIL.Image import open", 1),
        ("pickle.load(file)", 1),
        ("class Reader(pickle.Unpickler): pass", 1),
        ("from pickle import loads", 1),
        ("try: pass\nexcept pickle.UnpicklingError: pass", 0),
        ("torch.load(path)", 1),
        ("torch.load(path, weights_only=False)", 1),
        ("torch.load(path, weights_only=True)", 0),
        ("np.load(path, allow_pickle=True)", 1),
        ("np.load(path)", 1),
        ("np.load(path, allow_pickle=False)", 0),
        ("yaml.load(text)", 1),
        ("yaml.safe_load(text)", 0),
        ("imageio.v3.imread(path)", 1),
        ("dill.loads(data)", 1),
        ("network.eval()", 0),
    ],
)
def test_what_counts(text: str, count: int):
    assert len(unsafe(text)) == count


def test_the_search_sees_the_whole_tree():
    found = sources()
    some = {"train.py", "dataset_tool.py", "training/data/image_formats.py", "metrics/extractors/weights.py"}
    assert some <= found.keys()
    assert not any(Path(name).parts[0] == "tests" for name in found)
