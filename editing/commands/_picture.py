"""Options that `edit.py drag` and `edit.py towards` share: which picture, and what is written of it."""

from collections.abc import Callable

from dnnlib.cli import PATH, SEED, Int, Number, option

WHICH, OUTPUT, HARDWARE = "Which picture", "Output", "Hardware"

_WHICH = (
    option("--network", group=WHICH, metavar="PATH", required=True, type=PATH,
           help="Snapshot file, or a run directory for its newest one."),
    option("--seed", group=WHICH, type=SEED, default=0, show_default=True, help="The picture; of latent and layout."),
    option("--layout", group=WHICH, metavar="FILE.json", type=PATH, help="Another layout than the seed's."),
    option("--latents", group=WHICH, metavar="FILE.npz", type=PATH,
           help="Other latents than the seed's: array w or z, such as projector.py writes; the first one."),
    option("--class", "class_label", group=WHICH, metavar="NAME|K|LIST",
           help="For models trained with labels: a class by its name or number, or a whole label."),
    option("--trunc", group=WHICH, metavar="PSI", type=Number(-10, 10), default=1.0, show_default=True,
           help="Less variety for a more typical picture: 1 is off."),
)  # fmt: skip

_OUTPUT = (
    option("--out", group=OUTPUT, metavar="FILE.png", required=True, type=PATH,
           help="The strip: pictures on the way, the first and the last included."),
    option("--frames", group=OUTPUT, metavar="N", type=Int(2, 100), default=7, show_default=True,
           help="Pictures in the strip at most."),
    option("--video", group=OUTPUT, metavar="FILE", type=PATH, help="Every step as a .gif or .mp4, too."),
    option("--save-latents", group=OUTPUT, metavar="FILE.npz", type=PATH, help="Write the final styles."),
    option("--save-layout", group=OUTPUT, metavar="FILE.json", type=PATH, help="Write the final layout."),
    option("--save-session", group=OUTPUT, metavar="FILE.json", type=PATH,
           help="Write the final picture as a session that the editor opens."),
    option("--device", group=HARDWARE, default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
)  # fmt: skip


def picture_options(command: Callable) -> Callable:
    """Give a command those of the picture that it begins with."""
    return _with(_WHICH, command)


def output_options(command: Callable) -> Callable:
    """Give a command those of the files that it writes, and the device."""
    return _with(_OUTPUT, command)


def _with(options: tuple[Callable, ...], command: Callable) -> Callable:
    for each in reversed(options):
        command = each(command)
    return command
