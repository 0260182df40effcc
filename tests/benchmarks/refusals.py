"""What every benchmark does with bad input."""

from click import Command
from click.testing import CliRunner


def assert_refused(main: Command, arguments: list[str], text: str) -> None:
    """On a CPU: exit status 2, and one line that holds `text`."""
    result = CliRunner().invoke(main, ["--device=cpu", *arguments])
    assert result.exit_code == 2
    assert text in result.output
    assert result.output.count("\n") == 1
