"""A cut is for the run that is hung, whenever it comes."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from health.checks.line import Line


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.let_go()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    with ours, theirs:
        yield ours, theirs


def test_a_cut_ends_what_waits_on_the_socket(line: Line, pair: tuple[socket.socket, socket.socket]) -> None:
    with line.in_use():
        line.hold(pair[0].fileno())
        line.cut()
        assert pair[0].recv(1) == b""
        assert line.was_cut


def test_a_cut_that_comes_before_its_run_is_not_lost(line: Line, pair: tuple[socket.socket, socket.socket]) -> None:
    line.cut()
    with line.in_use():
        line.hold(pair[0].fileno())
        assert pair[0].recv(1) == b""
        assert line.was_cut


def test_a_cut_ends_with_its_run(line: Line, pair: tuple[socket.socket, socket.socket]) -> None:
    with line.in_use():
        line.cut()
    with line.in_use():
        line.hold(pair[0].fileno())
        pair[1].sendall(b".")
        assert pair[0].recv(1) == b"."
        assert not line.was_cut


def test_a_cut_that_comes_just_after_its_run_harms_no_other(
    line: Line, pair: tuple[socket.socket, socket.socket]
) -> None:
    with line.in_use():
        line.hold(pair[0].fileno())
    line.cut()
    with line.in_use():
        pair[1].sendall(b".")
        assert pair[0].recv(1) == b"."


def test_a_cut_between_the_parts_of_a_run_ends_the_run(line: Line, pair: tuple[socket.socket, socket.socket]) -> None:
    with line.in_use():
        with line.in_use():
            pass
        line.cut()
        with line.in_use():
            line.hold(pair[0].fileno())
            assert pair[0].recv(1) == b""


def test_letting_go_leaves_the_socket_alone(line: Line, pair: tuple[socket.socket, socket.socket]) -> None:
    line.hold(pair[0].fileno())
    line.let_go()
    line.cut()
    pair[1].sendall(b".")
    assert pair[0].recv(1) == b"."
