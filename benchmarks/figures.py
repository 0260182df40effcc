"""Whether the figures in README.md and docs are those of benchmarks/results: says what is wrong, a line each.

    python -m benchmarks.figures
    python -m benchmarks.figures --write      # after new measurements: put their values in the places of the old ones
"""

import click

from dnnlib.cli import Command


@click.command(cls=Command)
@click.option("--write", is_flag=True, help="First put the values of the reports in the places of the old ones.")
def main(write: bool) -> None:
    """Hold the figures in README.md and docs against benchmarks/results. Exit status 1 when one is wrong."""
    from benchmarks.harness.claims import problems, renew
    from benchmarks.harness.report import ROOT

    for page in renew(ROOT) if write else []:
        click.echo(f"{page}: renewed")
    found = problems(ROOT)
    click.echo("\n".join(found) or "every figure is that of a steady report, or explained")
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
