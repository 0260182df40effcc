"""dnnlib: files are whole or absent, small values parse, bad input ends in one line and status 2."""

import dataclasses
import errno
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from dnnlib import cli, files, json_files, parsing
from dnnlib.errors import UserError

ROOT = Path(__file__).parents[1]

# ---- files


def test_atomic_path_replaces_the_file_and_leaves_nothing_else(tmp_path: Path):
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")
    with files.atomic_path(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".bin"
        temporary.write_bytes(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("place", ["pipe", "link", "/dev/null", "/dev/stdout", "/dev/nosuchthing"])
def test_atomic_path_replaces_no_device(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    monkeypatch.setattr(Path, "replace", lambda *names: pytest.fail(f"{names} renamed"))
    with pytest.raises(UserError, match="this is a device or a pipe; name a file"):
        files.write_bytes(tmp_path / place, b"new")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def fail_halfway(target: Path) -> None:
    with files.atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError("disk on fire")


def test_atomic_path_keeps_the_old_file_when_the_block_raises(tmp_path: Path):
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="disk on fire"):
        fail_halfway(target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_atomic_path_leaves_no_new_file_when_the_block_raises(tmp_path: Path):
    with pytest.raises(RuntimeError, match="disk on fire"):
        fail_halfway(tmp_path / "weights.bin")
    assert list(tmp_path.iterdir()) == []


def test_atomic_path_gives_the_permissions_of_an_ordinary_file(tmp_path: Path):
    ordinary, atomic = tmp_path / "ordinary", tmp_path / "atomic"
    ordinary.write_bytes(b"")
    files.write_bytes(atomic, b"")
    assert stat.S_IMODE(atomic.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_write_json_round_trip(tmp_path: Path):
    value = {"centres": [[0.5, -0.25]], "name": "Grösse", "none": None}
    files.write_json(tmp_path / "layout.json", value)
    assert json_files.read_json(tmp_path / "layout.json") == value
    assert (tmp_path / "layout.json").read_text(encoding="utf-8").endswith("}\n")


def test_write_json_of_an_unserialisable_value_keeps_the_old_file(tmp_path: Path):
    target = tmp_path / "state.json"
    files.write_json(target, [1])
    with pytest.raises(TypeError):
        files.write_json(target, [object()])
    assert json.loads(target.read_text()) == [1]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"a": 1,\n oops}', ":2: not valid JSON"),
        (b"", ":1: not valid JSON"),
        (b'"\xff"', "byte 1 is not UTF-8"),
    ],
)
def test_read_json_names_file_and_place(tmp_path: Path, content: bytes, says: str):
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        json_files.read_json(path)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(("name", "says"), [("absent.json", "No such file"), (".", "Is a directory")])
def test_read_json_of_what_cannot_be_read(tmp_path: Path, name: str, says: str):
    with pytest.raises(UserError, match=says):
        json_files.read_json(tmp_path / name)


def test_atomic_folder_is_synced_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target, synced = tmp_path / "data", []

    def note(path: Path) -> None:
        synced.append((path.relative_to(tmp_path), target.exists()))

    monkeypatch.setattr(files, "sync", note)
    with files.atomic_folder(target) as temporary:
        (temporary / "00000").mkdir()
        (temporary / "00000" / "a.png").write_bytes(b"new")
        (temporary / "dataset.json").write_bytes(b"{}")
    begin, around = temporary.relative_to(tmp_path), Path()
    before = {begin / "00000" / "a.png", begin / "00000", begin / "dataset.json", begin}
    assert set(synced) == {(path, False) for path in before} | {(around, True)}
    assert synced[-2:] == [(begin, False), (around, True)]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert (target / "00000" / "a.png").read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o777 & ~files._umask()


def test_atomic_folder_leaves_nothing_when_the_block_raises(tmp_path: Path):
    def fill() -> None:
        with files.atomic_folder(tmp_path / "data") as temporary:
            (temporary / "a").write_bytes(b"new")
            raise OSError(errno.ENOSPC, "No space left on device", str(temporary / "a"))

    with pytest.raises(OSError, match="No space") as caught:
        fill()
    assert caught.value.filename == str(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_atomic_folder_takes_the_place_of_an_empty_one_only(tmp_path: Path):
    (tmp_path / "empty").mkdir(0o700)
    with files.atomic_folder(tmp_path / "empty") as temporary:
        (temporary / "a").write_bytes(b"new")
    assert (tmp_path / "empty" / "a").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "empty").stat().st_mode) == 0o700
    with pytest.raises(OSError, match="not empty"), files.atomic_folder(tmp_path / "empty"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["empty", "a"]


def test_make_dir_creates_parents_and_accepts_an_existing_one(tmp_path: Path):
    path = tmp_path / "runs" / "first"
    assert files.make_dir(path) == path
    assert files.make_dir(str(path)) == path
    assert list(path.iterdir()) == []


def test_make_dir_under_a_file_is_a_user_error(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot write to directory .*Not a directory"):
        files.make_dir(tmp_path / "file" / "runs")


def test_places_are_checked_and_nothing_is_made(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    files.check_place(tmp_path / "a" / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(UserError, match=r"cannot make directory .*file is a file; choose another --dest"):
        files.check_place(tmp_path / "file" / "b", "--dest")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_make_dir_without_permission_is_a_user_error(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied; choose another one"):
        files.make_dir(tmp_path / "runs")


# ---- parsing


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0", [0]), ("0,3,5-8", [0, 3, 5, 6, 7, 8]), (" 2 , 1 ", [2, 1]), ("4-4", [4]), ("3,3", [3, 3])],
)
def test_int_ranges(text: str, numbers: list[int]):
    assert parsing.int_ranges(text) == numbers


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_int_ranges_reads_back_any_list(numbers: list[int]):
    assert parsing.int_ranges(",".join(map(str, numbers))) == numbers


@pytest.mark.parametrize("text", ["", "a", "1,", "1-", "-1", "1.5", "1 2", "1--2", "1-2-3", "1_0", "１２", "١"])
def test_int_ranges_refuses_anything_else(text: str):
    with pytest.raises(UserError, match="is no list of numbers; write it as 0,3,5-8"):
        parsing.int_ranges(text)


def test_int_ranges_running_backwards():
    with pytest.raises(UserError, match="'8-5' in '1,8-5' runs backwards; write 5-8"):
        parsing.int_ranges("1,8-5")


def test_floats():
    assert parsing.floats("0.25,-1", 2, "--move") == [0.25, -1.0]


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "1,x", "1;2", "1_0,2", "１,2", "1,٢"])
def test_floats_refuses_other_counts_and_words(text: str):
    with pytest.raises(UserError, match=r"--move '.*' must be 2 comma-separated numbers"):
        parsing.floats(text, 2, "--move")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gama", "; did you mean 'gamma'?"),
        ("batch_sise", "; did you mean 'batch_size'?"),
        ("zzz", "; known: batch_size, gamma"),
    ],
)
def test_nearest(name: str, hint: str):
    assert parsing.nearest(name, {"gamma", "batch_size"}) == hint


# ---- command lines


def complain(lines: str) -> None:
    raise UserError(lines)


@click.command(cls=cli.Command)
@click.option("--text", default="no images in data/\n  give --data another folder")
def single(text: str) -> None:
    complain(text)


@click.group(cls=cli.Group)
def tool() -> None:
    pass


@tool.command()
@click.pass_context
def sub(context: click.Context) -> None:
    complain(context.command_path)


@click.group(cls=cli.Group, invoke_without_command=True)
def strict() -> None:
    complain("the group itself")


def assert_one_line(result: Result, line: str) -> None:
    assert result.exit_code == 2
    assert result.stderr == f"Error: {line}\n"
    assert result.stdout == ""


def test_command_turns_user_error_into_one_line_and_status_2():
    assert_one_line(CliRunner().invoke(single), "no images in data/ give --data another folder")


def test_group_does_so_for_its_sub_commands():
    assert isinstance(tool.commands["sub"], cli.Command)
    assert_one_line(CliRunner().invoke(tool, ["sub"]), "tool sub")


def test_group_does_so_for_itself():
    assert_one_line(CliRunner().invoke(strict), "the group itself")


def test_command_lets_other_exceptions_through():
    @click.command(cls=cli.Command)
    def broken() -> None:
        raise ZeroDivisionError

    assert isinstance(CliRunner().invoke(broken).exception, ZeroDivisionError)


@pytest.mark.parametrize("kind", [cli.Command, cli.Group])
def test_ctrl_c_is_one_line_and_the_status_that_shells_give(kind: type[click.Command]):
    @click.command(cls=kind, **({"invoke_without_command": True} if kind is cli.Group else {}))
    def patient() -> None:
        raise KeyboardInterrupt

    result = CliRunner().invoke(patient)
    assert result.exit_code == 128 + signal.SIGINT
    assert result.stderr == "\ninterrupted\n"


def test_ctrl_c_while_a_command_loads_its_packages_is_the_same():
    """The packages are imported within the command, so that this is true of them, too."""
    code = (
        "import builtins, sys\n"
        "import train\n"
        "load = builtins.__import__\n"
        "def interrupted(name, *about, **more):\n"
        "    if name.startswith('torch'):\n"
        "        raise KeyboardInterrupt\n"
        "    return load(name, *about, **more)\n"
        "builtins.__import__ = interrupted\n"
        "train.main(['--outdir=x', '--data=y'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "\ninterrupted\n")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError) as caught:
        files.write_by(tmp_path / "a.png", lambda file: file.write(b"x"))
    assert caught.value.filename == str(tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_names_as_long_as_a_file_system_allows(tmp_path: Path):
    for name in ("a" * 251 + ".png", "é" * 125 + ".json", "x." + "y" * 253, "a" * 255):
        files.write_text(tmp_path / name, "x")
        assert (tmp_path / name).read_text() == "x"
    with pytest.raises(OSError, match="too long") as caught:
        files.write_text(tmp_path / ("a" * 256), "x")
    assert caught.value.filename == str(tmp_path / ("a" * 256))
    assert len(list(tmp_path.iterdir())) == 4


def test_a_directory_in_the_way_is_named(tmp_path: Path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        files.write_text(tmp_path / "a.png", "x")
    assert caught.value.filename == str(tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def failing(error: BaseException) -> Result:
    @click.command(cls=cli.Command)
    def broken() -> None:
        raise error

    return CliRunner().invoke(broken)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/a.png"),
         "out/a.png: cannot write, no space left on device; make room, or choose another place"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"),
         "cannot write, disk quota exceeded; make room, or choose another place"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "out"), "out: is a directory"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.png"), "a.png: no such file or directory"),
        (MemoryError(), "not enough memory; use smaller batches, networks or pictures"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
         "not enough memory; use smaller batches, networks or pictures"),
    ],
)  # fmt: skip
def test_full_disks_missing_files_and_lack_of_memory_are_one_line(error: BaseException, line: str):
    assert_one_line(failing(error), line)


@pytest.mark.parametrize("error", [ValueError("a bug"), RuntimeError("another"), OSError("without a number")])
def test_other_errors_keep_their_traceback(error: BaseException):
    assert failing(error).exception is error


def test_a_message_is_short_and_has_no_control_characters():
    result = CliRunner().invoke(single, ["--text", "x" * 5000 + "\x1b[31m"])
    assert len(result.stderr) < 700
    assert "\x1b" not in result.stderr


def test_help_has_groups_in_their_order():
    @click.command(cls=cli.Command)
    @cli.option("--b", group="Second")
    @cli.option("--c", group="First")
    @cli.option("--d", group="Second", default=3, show_default=True)
    def grouped(**_: object) -> None:
        pass

    text = CliRunner().invoke(grouped, ["--help"]).stdout
    words = ("Second:", "--b", "--d", "[default: 3]", "First:", "--c", "Other options:")
    places = [text.index(word) for word in words]
    assert places == sorted(places)
    assert text.index("--help", places[-1]) > 0


def test_a_group_shows_its_commands_below_its_options():
    text = CliRunner().invoke(tool, ["--help"]).stdout
    assert text.index("Options:") < text.index("Commands:") < text.index("sub")


@dataclasses.dataclass
class Table:
    gamma: float | None = cli.setting("Weight.", group="Training", type=cli.Number(0), default="by --cfg", key="loss.g")
    max_res: str | None = cli.setting("Size.", group="Steering", names=("--largest",))
    other: int = 5


def test_a_table_of_settings_makes_options():
    @click.command(cls=cli.Command)
    @cli.options_of(Table)
    def command(**given: object) -> None:
        click.echo(given)

    assert "'gamma': 0.5, 'max_res': '3'" in CliRunner().invoke(command, ["--gamma=0.5", "--largest=3"]).stdout
    text = CliRunner().invoke(command, ["--help"]).stdout
    assert "[default: by --cfg]" in text
    assert Table().gamma is None


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "-1", "1.5", "", "x", "9" * 5000, "0_0", "０", "٠.٥"])
def test_number_takes_finite_numbers_in_bounds(text: str):
    with pytest.raises(click.BadParameter):
        cli.Number(0, 1).convert(text, None, None)


@pytest.mark.parametrize("text", ["-1", "1e3", "4294967296", "1" * 5000, "nan", "", "1_0", "１２", "١"])
def test_int_takes_whole_numbers_in_bounds(text: str):
    with pytest.raises(click.BadParameter):
        cli.SEED.convert(text, None, None)


def test_plain_digits_are_read_as_ever():
    assert [parsing.real(text) for text in ("1", " -1.5e3 ", ".5", "+2.")] == [1.0, -1500.0, 0.5, 2.0]
    assert [parsing.integer(text) for text in ("007", " -3 ", "+4")] == [7, -3, 4]
    assert [cli.Number(0, 1).convert(value, None, None) for value in (0.5, "0.5", 1)] == [0.5, 0.5, 1]


@pytest.mark.parametrize("text", ["1_0", "１２", "x", "", "1.5"])
def test_variables_hold_whole_numbers(text: str):
    assert parsing.of_environment("SIZE", 3, {}) == 3
    assert parsing.of_environment("SIZE", 3, {"SIZE": "12"}) == 12
    with pytest.raises(UserError, match=r"SIZE=.* is no whole number"):
        parsing.of_environment("SIZE", 3, {"SIZE": text})


def test_home_in_a_path(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/h")
    for wrong in ("", "a\0b", "~nobody-of-that-name/x.zip"):
        with pytest.raises(click.BadParameter):
            cli.PATH.convert(wrong, None, None)
    assert [cli.PATH.convert(text, None, None) for text in ("~/toy.zip", "~", "a/~b")] == ["/h/toy.zip", "/h", "a/~b"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp932", "latin-1"])
def test_a_terminal_that_lacks_a_character_gets_an_escape(encoding: str, tmp_path: Path):
    script = tmp_path / "say.py"
    script.write_text(
        "import click, sys\nfrom dnnlib import cli\nfrom dnnlib.errors import UserError\n"
        "@click.command(cls=cli.Command)\ndef main():\n"
        "    click.echo('\\u4e2d\\xd7\\udce9')\n    raise UserError('\\u4e2d')\n"
        "main()\n"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    done = subprocess.run([sys.executable, script], capture_output=True, env=environment, check=False)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"\\udce9" in done.stdout or encoding == "ascii"  # which click takes for a mistake: it writes UTF-8


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_output_to_a_full_disk_is_one_line(tmp_path: Path):
    script = tmp_path / "say.py"
    script.write_text(
        "import click\nfrom dnnlib import cli\n"
        "@click.command(cls=cli.Command)\ndef main():\n    click.echo('a result')\nmain()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    with open("/dev/full", "w") as full:
        for words in ([], ["--help"]):
            command = [sys.executable, script, *words]
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, check=False)
            line = b"Error: cannot write, no space left on device; make room, or choose another place\n"
            assert (done.returncode, done.stderr) == (2, line)


# ---- fixtures that all tests share


def test_generator_fixture_is_seeded_and_apart_from_the_global_stream(generator):
    import torch

    before = torch.get_rng_state()
    first, again, other = (torch.randn(8, generator=generator(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)
