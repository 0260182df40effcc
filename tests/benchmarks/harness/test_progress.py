"""Progress: a bar on a terminal, a line now and then elsewhere, both from the first step on."""

import io

from benchmarks.harness.progress import LINE_SECONDS, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_while_the_first_step_lasts():
    stream = Terminal()
    with Progress("data", stream) as progress:
        progress.expect(4)
        with progress.doing("making pictures"):
            assert "data:   0%" in stream.getvalue()
            assert "0/4" in stream.getvalue()
            assert "making pictures" in stream.getvalue()
        progress.expect(1)
        with progress.one_more("the rest"):
            pass
    assert (progress.done, progress.total) == (2, 6)


def test_elsewhere_the_first_step_and_then_one_now_and_then_have_a_line():
    stream, now = io.StringIO(), [100.0]
    with Progress("data", stream, clock=lambda: now[0]) as progress:
        progress.expect(100)
        for number in range(100):
            with progress.doing(f"step {number}"):
                now[0] += LINE_SECONDS / 10
    lines = stream.getvalue().splitlines()
    assert lines[0] == "data: 0 of 100 steps, 0 s; step 0"
    assert lines[1] == f"data: 10 of 100 steps, {LINE_SECONDS:.0f} s; step 10"
    assert len(lines) == 10
    assert "\r" not in stream.getvalue()
