# SPDX-License-Identifier: MIT
"""What the library opened and must close again, in order, whatever thread, exception or garbage collector ends its use."""

from __future__ import annotations

import contextlib
import ctypes as C
import os
import threading
import weakref
from typing import Iterator

from . import _c


class Handle:
    """A model or a detector, closed by the last who lets it go. Counted by hand: a garbage collector that meets a ring of objects ends
    them in any order, and sessions must end before what they look at."""

    def __init__(self, kind: str, path: str | os.PathLike[str] | None, options: _c.Options) -> None:
        self._close = getattr(_c.lib, f"limber_{kind}_close")
        self._lock = threading.RLock()  # a collection may end a detector in the middle
        self._holders = 1
        self.pointer = C.c_void_p()
        _c.call(f"limber_{kind}_open", C.byref(self.pointer), os.fsencode(path) if path is not None else None, C.byref(options))

    def hold(self) -> Handle:
        with self._lock:
            self._holders += 1
        return self

    def let_go(self) -> None:
        with self._lock:
            self._holders -= 1
            last = not self._holders
        if last:
            self._close(C.byref(self.pointer))


class Sessions:
    """A session is one thread's at a time: a call takes one that nobody uses, or opens another. A forked child opens its own, since the
    threads of those that were open stayed behind."""

    def __init__(self, model: Handle | None, detector: Handle | None, options: _c.Options) -> None:
        """Lets both go at the end. Without a model sessions only find people, and the first is opened when it is wanted: a detector may
        have been opened for models alone."""
        self._model, self._detector, self._options = model, detector, options
        options.detector = detector.pointer.value if detector else None
        self._free: list[int] = []
        self._taken: set[int] = set()
        self._closed = False  # no more calls
        self._freed = False
        self._state = threading.Condition()
        _everyone.add(self)
        if model:
            with self.one():
                pass  # what a session would refuse is refused at once

    def hold_detector(self) -> Handle:
        """For sessions of another's."""
        with self._state:
            self._check_open()
            assert self._detector
            return self._detector.hold()

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"the {'model' if self._model else 'detector'} is closed")

    def take(self) -> C.c_void_p:
        with self._state:
            self._check_open()
            session = C.c_void_p(self._free.pop() if self._free else None)
            if not session:
                _c.call("limber_session_open", C.byref(session), self._model.pointer if self._model else None, C.byref(self._options))
            self._taken.add(session.value or 0)
            return session

    def give(self, session: C.c_void_p) -> None:
        with self._state:
            address = session.value or 0
            if address in self._taken:  # else it is the parent's, of this forked child
                self._taken.remove(address)
                self._free.append(address)
            if self._closed and not self._taken:
                self._free_all()
            self._state.notify_all()

    @contextlib.contextmanager
    def one(self) -> Iterator[C.c_void_p]:
        session = self.take()
        try:
            yield session
        finally:
            self.give(session)

    def close(self) -> None:
        """No more calls; waits for those that run, and frees everything."""
        with self._state:
            self._closed = True
            self._state.wait_for(lambda: not self._taken)
            self._free_all()

    def _free_all(self) -> None:
        if not self._freed:
            self._freed = True
            while self._free:
                _c.lib.limber_session_close(C.byref(C.c_void_p(self._free.pop())))
            for handle in self._handles():
                handle.let_go()

    def _handles(self) -> list[Handle]:
        return [h for h in (self._model, self._detector) if h]

    def _forked(self) -> None:
        self._state = threading.Condition()
        self._free, self._taken = [], set()
        for handle in self._handles():
            handle.hold()  # never closed here: the parent's sessions, which nobody may close, look at it

    def __del__(self) -> None:
        if hasattr(self, "_state"):
            with self._state:
                self._closed = True
                if not self._taken:
                    self._free_all()  # else whoever took the last one does


_everyone: weakref.WeakSet[Sessions] = weakref.WeakSet()


def _in_the_child() -> None:
    for sessions in list(_everyone):
        sessions._forked()


os.register_at_fork(after_in_child=_in_the_child)
