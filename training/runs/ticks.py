"""Ticks: the intervals of a run at whose ends statistics are written and, now and then, snapshots."""

import time

from training.config import ScheduleConfig


class Tick:
    """The time from one line of statistics to the next: schedule.kimg_per_tick, or longer where a step is."""

    def __init__(self, schedule: ScheduleConfig, images: int):
        self._size = schedule.kimg_per_tick * 1000
        self._first, self._start = images, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self._start

    def number_at(self, images: int) -> int:
        """How many ticks a run of so many images has had."""
        return int(images // self._size)

    def is_over(self, images: int) -> bool:
        return images >= (self.number_at(self._first) + 1) * self._size

    def seconds_per_kimg(self, images: int) -> float:
        return self.seconds / (images - self._first) * 1000
