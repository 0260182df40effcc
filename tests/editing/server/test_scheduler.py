"""The scheduler: the newest of a slot, turns between pages, errors told, nothing lost that was asked for last."""

import threading

import pytest

from dnnlib.errors import UserError
from editing.server.scheduler import MOST_WAITING, Scheduler


class Ledger:
    """What tasks did, in order, and a gate that holds the scheduler until it is opened."""

    def __init__(self):
        self.done, self.errors, self.gate, self.begun = [], [], threading.Event(), threading.Event()
        self.closed = []

    def gated(self):
        self.begun.set()
        self.gate.wait(10)
        self.done.append("gate")
        yield

    def task(self, name: str, steps: int = 1):
        try:
            for step in range(steps):
                self.done.append(f"{name}{step}")
                yield
        finally:
            self.closed.append(name)

    def failing(self):
        raise UserError("no such thing")
        yield


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def scheduler(ledger: Ledger) -> Scheduler:
    """Running, and busy until the ledger's gate is opened."""
    scheduler = Scheduler()
    scheduler.start()
    scheduler.submit("gatekeeper", "gate", ledger.gated(), ledger.errors.append)
    assert ledger.begun.wait(10)
    yield scheduler
    ledger.gate.set()
    scheduler.end()


def finish(scheduler: Scheduler, ledger: Ledger) -> list[str]:
    """Open the gate, and wait until everything that was submitted has had its turns."""
    over = threading.Event()

    def last():
        for _ in range(10):
            yield  # so many turns of all others
        over.set()
        yield

    scheduler.submit("last", "last", last(), ledger.errors.append)
    ledger.gate.set()
    assert over.wait(10)
    return ledger.done


def test_the_newest_of_a_slot_counts(scheduler: Scheduler, ledger: Ledger):
    for name in "abc":
        scheduler.submit("page", "main", ledger.task(name), ledger.errors.append)
    assert finish(scheduler, ledger) == ["gate", "c0"]


def test_owners_and_slots_do_not_replace_each_other(scheduler: Scheduler, ledger: Ledger):
    scheduler.submit("one", "main", ledger.task("a"), ledger.errors.append)
    scheduler.submit("two", "main", ledger.task("b"), ledger.errors.append)
    scheduler.submit("one", "thumb", ledger.task("c"), ledger.errors.append)
    assert finish(scheduler, ledger) == ["gate", "a0", "b0", "c0"]


def test_long_tasks_take_turns(scheduler: Scheduler, ledger: Ledger):
    scheduler.submit("one", "long", ledger.task("a", 3), ledger.errors.append)
    scheduler.submit("two", "long", ledger.task("b", 3), ledger.errors.append)
    assert finish(scheduler, ledger) == ["gate", "a0", "b0", "a1", "b1", "a2", "b2"]


def test_a_replaced_request_keeps_its_place(scheduler: Scheduler, ledger: Ledger):
    """Somebody who drags all the time is served in turn, and does not fall behind for it."""
    scheduler.submit("one", "main", ledger.task("a"), ledger.errors.append)
    scheduler.submit("two", "main", ledger.task("b"), ledger.errors.append)
    scheduler.submit("one", "main", ledger.task("c"), ledger.errors.append)
    assert finish(scheduler, ledger) == ["gate", "c0", "b0"]


def test_a_running_task_is_replaced_and_closed(ledger: Ledger):
    scheduler, stepped, go_on = Scheduler(), threading.Event(), threading.Event()

    def endless():
        try:
            while True:
                stepped.set()
                go_on.wait(10)
                yield
        finally:
            ledger.closed.append("endless")

    scheduler.start()
    scheduler.submit("page", "long", endless(), ledger.errors.append)
    assert stepped.wait(10)
    scheduler.submit("page", "long", ledger.task("next"), ledger.errors.append)
    go_on.set()
    assert finish(scheduler, ledger) == ["next0"]
    assert ledger.closed == ["endless", "next"]
    scheduler.end()


@pytest.mark.parametrize("slot", ["long", None])
def test_cancelled_tasks_do_not_go_on(scheduler: Scheduler, ledger: Ledger, slot: str | None):
    scheduler.submit("one", "long", ledger.task("a", 3), ledger.errors.append)
    scheduler.submit("two", "long", ledger.task("b", 2), ledger.errors.append)
    scheduler.cancel("one", slot)
    assert finish(scheduler, ledger) == ["gate", "b0", "b1"]


def test_errors_are_told_and_the_worker_goes_on(scheduler: Scheduler, ledger: Ledger):
    scheduler.submit("one", "main", ledger.failing(), ledger.errors.append)
    scheduler.submit("two", "main", ledger.task("b"), ledger.errors.append)
    assert finish(scheduler, ledger) == ["gate", "b0"]
    assert [str(error) for error in ledger.errors] == ["no such thing"]


def test_one_owner_cannot_fill_the_queue(scheduler: Scheduler, ledger: Ledger):
    for number in range(MOST_WAITING):
        scheduler.submit("one", f"slot{number}", ledger.task("a"), ledger.errors.append)
    with pytest.raises(UserError, match="too many requests"):
        scheduler.submit("one", "another", ledger.task("a"), ledger.errors.append)
    scheduler.submit("one", "slot3", ledger.task("c"), ledger.errors.append)  # in the place of an older one
    scheduler.submit("two", "main", ledger.task("b"), ledger.errors.append)
    assert finish(scheduler, ledger).count("b0") == 1


def test_ending_does_not_wait_for_what_has_not_begun(ledger: Ledger):
    scheduler = Scheduler()
    scheduler.submit("one", "main", ledger.task("a"), ledger.errors.append)
    scheduler.start()
    scheduler.end()
    assert not scheduler._thread.is_alive()
