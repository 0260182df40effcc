"""The worker: the newest of a slot, turns between pages, errors told, nothing lost that was asked for last."""

import threading

import pytest

from dnnlib.errors import UserError
from editing.server.worker import MOST_WAITING, Worker


class Ledger:
    """What tasks did, in order, and a gate that holds the worker until it is opened."""

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
def worker(ledger: Ledger) -> Worker:
    """Running, and busy until the ledger's gate is opened."""
    worker = Worker()
    worker.start()
    worker.submit("gatekeeper", "gate", ledger.gated(), ledger.errors.append)
    assert ledger.begun.wait(10)
    yield worker
    ledger.gate.set()
    worker.end()


def finish(worker: Worker, ledger: Ledger) -> list[str]:
    """Open the gate, and wait until everything that was submitted has had its turns."""
    over = threading.Event()

    def last():
        for _ in range(10):
            yield  # so many turns of all others
        over.set()
        yield

    worker.submit("last", "last", last(), ledger.errors.append)
    ledger.gate.set()
    assert over.wait(10)
    return ledger.done


def test_the_newest_of_a_slot_counts(worker: Worker, ledger: Ledger):
    for name in "abc":
        worker.submit("page", "main", ledger.task(name), ledger.errors.append)
    assert finish(worker, ledger) == ["gate", "c0"]


def test_owners_and_slots_do_not_replace_each_other(worker: Worker, ledger: Ledger):
    worker.submit("one", "main", ledger.task("a"), ledger.errors.append)
    worker.submit("two", "main", ledger.task("b"), ledger.errors.append)
    worker.submit("one", "thumb", ledger.task("c"), ledger.errors.append)
    assert finish(worker, ledger) == ["gate", "a0", "b0", "c0"]


def test_long_tasks_take_turns(worker: Worker, ledger: Ledger):
    worker.submit("one", "long", ledger.task("a", 3), ledger.errors.append)
    worker.submit("two", "long", ledger.task("b", 3), ledger.errors.append)
    assert finish(worker, ledger) == ["gate", "a0", "b0", "a1", "b1", "a2", "b2"]


def test_a_replaced_request_keeps_its_place(worker: Worker, ledger: Ledger):
    """Somebody who drags all the time is served in turn, and does not fall behind for it."""
    worker.submit("one", "main", ledger.task("a"), ledger.errors.append)
    worker.submit("two", "main", ledger.task("b"), ledger.errors.append)
    worker.submit("one", "main", ledger.task("c"), ledger.errors.append)
    assert finish(worker, ledger) == ["gate", "c0", "b0"]


def test_a_running_task_is_replaced_and_closed(ledger: Ledger):
    worker, stepped, go_on = Worker(), threading.Event(), threading.Event()

    def endless():
        try:
            while True:
                stepped.set()
                go_on.wait(10)
                yield
        finally:
            ledger.closed.append("endless")

    worker.start()
    worker.submit("page", "long", endless(), ledger.errors.append)
    assert stepped.wait(10)
    worker.submit("page", "long", ledger.task("next"), ledger.errors.append)
    go_on.set()
    assert finish(worker, ledger) == ["next0"]
    assert ledger.closed == ["endless", "next"]
    worker.end()


@pytest.mark.parametrize("slot", ["long", None])
def test_cancelled_tasks_do_not_go_on(worker: Worker, ledger: Ledger, slot: str | None):
    worker.submit("one", "long", ledger.task("a", 3), ledger.errors.append)
    worker.submit("two", "long", ledger.task("b", 2), ledger.errors.append)
    worker.cancel("one", slot)
    assert finish(worker, ledger) == ["gate", "b0", "b1"]


def test_errors_are_told_and_the_worker_goes_on(worker: Worker, ledger: Ledger):
    worker.submit("one", "main", ledger.failing(), ledger.errors.append)
    worker.submit("two", "main", ledger.task("b"), ledger.errors.append)
    assert finish(worker, ledger) == ["gate", "b0"]
    assert [str(error) for error in ledger.errors] == ["no such thing"]


def test_one_owner_cannot_fill_the_queue(worker: Worker, ledger: Ledger):
    for number in range(MOST_WAITING):
        worker.submit("one", f"slot{number}", ledger.task("a"), ledger.errors.append)
    with pytest.raises(UserError, match="too many requests"):
        worker.submit("one", "another", ledger.task("a"), ledger.errors.append)
    worker.submit("one", "slot3", ledger.task("c"), ledger.errors.append)  # in the place of an older one
    worker.submit("two", "main", ledger.task("b"), ledger.errors.append)
    assert finish(worker, ledger).count("b0") == 1


def test_ending_does_not_wait_for_what_has_not_begun(ledger: Ledger):
    worker = Worker()
    worker.submit("one", "main", ledger.task("a"), ledger.errors.append)
    worker.start()
    worker.end()
    assert not worker._thread.is_alive()
