"""This process's numbers: in memory, or in its slot's files where PROMETHEUS_MULTIPROC_DIR says that there are more.

A forked child has the numbers of its parent in memory, and must not write them into its parent's files: it takes a slot
of its own at once, and every series finds its cells again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import RLock
from time import monotonic

from observability.catalogue import Kind, Metric
from observability.cells import Cells, Entry, MemoryCells
from observability.multiprocess.files import FileCells
from observability.multiprocess.slots import Slot, take_slot

logger = logging.getLogger(__name__)

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
RETRY_SECONDS = 5.0
"""Between two tries to have a file that could not be had."""


class Storage:
    """Cells by file name: ``counter``, ``histogram``, ``gauge_livesum`` and so on.

    Where the folder cannot be used, the numbers stay in memory until it can: the log says so once, and nothing fails.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.lock = RLock()
        self._slot: Slot | None = None
        self._cells: dict[str, Cells] = {}
        self._in_need: dict[str, MemoryCells] = {}
        self._next_try = 0.0
        self._former: list[object] = []
        self._finders: list[Callable[[], object]] = []
        self._has_complained = False

    @property
    def slot(self) -> int:
        """The number of this process among those that share the folder; 0 where it is alone."""
        return self._slot.number if self._slot else 0

    @property
    def is_shared(self) -> bool:
        """Several processes write into one folder."""
        return self.folder is not None

    def cells(self, name: str) -> Cells:
        """Those of one file. Raises OSError where it cannot be had."""
        with self.lock:
            found = self._cells.get(name)
            return found if found is not None else self._cells.setdefault(name, self._open(name))

    def place(self, name: str, keys: Sequence[bytes]) -> tuple[Cells, tuple[int, ...]]:
        """Where the numbers of these keys are kept, all in the same cells: in memory while the file cannot be had."""
        with self.lock:
            if self._in_need:
                self.recover()
            if name not in self._in_need or monotonic() >= self._next_try:
                try:
                    cells = self.cells(name)
                    return cells, tuple(map(cells.index_of, keys))
                except OSError as error:
                    self._complain(error)
            need = self._in_need.setdefault(name, MemoryCells(self.lock))
            return need, tuple(map(need.index_of, keys))

    def recover(self) -> None:
        """Take what was counted in need into the files, if they can be had again. Mostly there is nothing to do."""
        if not self._in_need or monotonic() < self._next_try:
            return
        with self.lock:
            self._next_try = monotonic() + RETRY_SECONDS
            try:
                for name, need in self._in_need.items():
                    self._take_in(name, need)
            except OSError:
                return
            self._in_need = {}
            self._has_complained = False
            logger.info("metrics of this process are shared again", extra={"folder": str(self.folder)})
            self._find_again()

    def own(self) -> Iterator[tuple[str, list[Entry]]]:
        """The numbers of this process alone, by file name."""
        with self.lock:
            names = list(self._cells.items())
        for name, cells in names:
            yield name, list(cells.entries())

    def on_renewed(self, find_again: Callable[[], object]) -> None:
        """Have ``find_again`` called in every forked child, and after a need, to ask for its cells anew."""
        self._finders.append(find_again)

    def renew(self) -> None:
        """In a forked child: another lock, another slot, other cells."""
        self.lock = RLock()
        for cells in self._cells.values():
            cells.lock = self.lock
        if self._slot is not None:
            self._slot.leave()
            self._slot = None
        if self.folder is not None:
            self._former += [self._cells, self._in_need]  # see FileCells: what is mapped stays mapped
            self._cells, self._in_need, self._next_try = {}, {}, 0.0
        self._find_again()

    def _find_again(self) -> None:
        for find_again in self._finders:
            find_again()

    def _take_in(self, name: str, need: MemoryCells) -> None:
        """What is taken is no longer there, in case the next one fails and all are asked again."""
        cells = self.cells(name)
        for key, value, set_at in list(need.entries()):
            place, left = cells.index_of(key), need.index_of(key)
            if value or set_at:
                cells.view[place] = value if set_at else cells.view[place] + value
                cells.view[place + 1] = set_at
                need.view[left] = need.view[left + 1] = 0.0

    def _open(self, name: str) -> Cells:
        if self.folder is None:
            return MemoryCells(self.lock)
        slot = self._slot or self._adopt(take_slot(self.folder))
        return FileCells(self.folder / f"{name}_{slot.number}.db", self.lock)

    def _adopt(self, slot: Slot) -> Slot:
        if self._slot is not None:  # a signal's handler has taken one meanwhile
            slot.leave()
            return self._slot
        self._slot = slot
        _forget_living(slot)
        return slot

    def _complain(self, error: OSError) -> None:
        self._next_try = monotonic() + RETRY_SECONDS
        if not self._has_complained:
            self._has_complained = True
            logger.error(
                "metrics of this process are seen by nobody for now: %s cannot be written",
                VARIABLE,
                extra={"folder": str(self.folder), "error": error.strerror or type(error).__name__},
            )


def file_name(metric: Metric) -> str:
    """Which cells the metric's numbers are in."""
    return f"{metric.kind}_{metric.mode}" if metric.kind is Kind.GAUGE else str(metric.kind)


def _forget_living(slot: Slot) -> None:
    """What the slot's last owner said of itself while it lived is not said of the new one."""
    for path in slot.folder.glob(f"gauge_live*_{slot.number}.db"):
        path.unlink(missing_ok=True)


def _folder_of_environment() -> Path | None:
    written = os.environ.get(VARIABLE, "").strip()
    return Path(written).absolute() if written else None  # a daemon goes elsewhere


storage = Storage(_folder_of_environment())
os.register_at_fork(after_in_child=storage.renew)
