"""edit.py serve: the page, in the browser."""

from typing import TYPE_CHECKING

import click

from dnnlib.cli import PATH, Command, Int, option, plugin_option

if TYPE_CHECKING:
    from editing.server.engine import Engine

MODEL, ADDRESS = "Model", "Address"


@click.command("serve", cls=Command)
@option("--network", group=MODEL, metavar="PATH", required=True, type=PATH,
        help="Run directory (its newest snapshot), snapshot or checkpoint.")
@option("--directions", group=MODEL, metavar="FILE", multiple=True, type=PATH,
        help="Of edit.py directions: directions for sessions to go along, or a field of key points to pull. Can be "
             "repeated.")
@option("--device", group=MODEL, default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@option("--host", group=ADDRESS, default="127.0.0.1", show_default=True, metavar="ADDRESS",
        help="Where to listen; other than this machine's own address only with --password.")
@option("--port", group=ADDRESS, metavar="N", type=Int(1, 65535), show_default="8420, or a free one",
        help="The port.")
@option("--password", group=ADDRESS, metavar="TEXT", envvar="STEERGAN_PASSWORD",
        help="What others have to know; also read from STEERGAN_PASSWORD.")
@option("--no-browser", group=ADDRESS, is_flag=True, help="Print the address, but open no browser.")
@plugin_option(MODEL)
def command(
    network: str, directions: tuple[str, ...], device: str, host: str, port: int | None, password: str | None,
    no_browser: bool,
) -> None:  # fmt: skip
    """Open the editor in the browser (what `edit.py --network=...` does)."""
    from pathlib import Path

    from dnnlib.errors import UserError
    from editing.server.launch import serve
    from training.runs.sources import address_in

    # The rest is found out in a thread, while the page is there already.
    if address_in(network) is None and not Path(network).exists():
        raise UserError(f"{network}: no such file; give a network-snapshot-*.safetensors or a run directory")
    missing = next((path for path in directions if not Path(path).is_file()), None)
    if missing is not None:
        raise UserError(f"--directions {missing}: no such file; give one of edit.py directions")
    if password == "":
        raise UserError("--password: an empty one keeps nobody out")

    def open_engine() -> "Engine":
        from editing.server.engine import Engine

        return Engine(network, device, directions)

    serve(open_engine, host, port, password, not no_browser, click.echo)
