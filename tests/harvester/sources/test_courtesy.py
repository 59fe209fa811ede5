"""Requests to one service keep their distance."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from harvester.sources.courtesy import Courtesy


def test_the_first_request_goes_at_once_and_the_next_wait_their_turn() -> None:
    naps: list[float] = []
    clock = iter((100.0, 101.0, 102.0, 200.0))
    courtesy = Courtesy(3.0, sleep=naps.append, monotonic=lambda: next(clock))
    for _ in range(4):
        courtesy.wait()
    assert naps == [2.0, 4.0]


def test_threads_share_the_pause() -> None:
    naps: list[float] = []
    courtesy = Courtesy(3.0, sleep=naps.append, monotonic=lambda: 0.0)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(courtesy.wait)
    assert sorted(naps) == [3.0, 6.0, 9.0]
