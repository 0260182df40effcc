"""Commands that only pretend: they leave what experiments look for, and train nothing."""

from collections.abc import Callable
from pathlib import Path

from tests.tiny_models import save_tiny_snapshot


def pretending(seen: list[tuple[str, ...]], measure: Callable[[dict[str, str]], None]) -> Callable[..., None]:
    """A stand-in for `command` that notes its words in `seen`: dataset_tool.py leaves an empty file, train.py a run
    directory with a snapshot of 1 kimg; what calc_metrics.py leaves, `measure` writes from its options."""

    def pretend(*words: str) -> None:
        seen.append(words)
        options = dict(word.removeprefix("--").split("=", 1) for word in words if word.startswith("--") and "=" in word)
        folder = Path(options.get("outdir", ".")) / "00000-run"
        if words[0] == "dataset_tool.py":
            Path(options["dest"]).write_bytes(b"")
        elif words[0] == "train.py" and (folder / "config.json").exists():
            return  # it is finished
        elif words[0] == "train.py":
            folder.mkdir(parents=True)
            (folder / "config.json").write_text("{}")
            (folder / "stats.jsonl").write_text('{"kimg": 1.0, "seconds/training": 30.0}\n')
            save_tiny_snapshot(folder, kimg=1.0)
        else:
            measure(options)

    return pretend
