"""Where parts are measured: in this process, in worker processes, or on a dask cluster.

All three yield ``(part, measured)`` as parts finish, in whatever order; what a part comes to
does not depend on it.
"""

from __future__ import annotations

import logging
import re
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from contextlib import contextmanager
from typing import Protocol

from checks.parts import Measured, Part
from checks.runner import run_part
from checks.versions import code

GONE = "a worker process died: killed, or out of memory"
LOST = "the scheduler is gone; nothing that was finished is lost, and --resume goes on with it"


Take = Callable[[], Part | None]
"""Gives the next part; None while there is none: asked again after each result."""
Results = Generator[tuple[Part, Measured], None, None]


class ClusterFailed(Exception):
    """The scheduler cannot be reached, or is gone; one line."""


class Team(Protocol):
    """Measures parts; closes itself when the iteration ends, however it ends."""

    def measure(self, take: Take) -> Results: ...


class Alone:
    """This process, one part after the other."""

    def measure(self, take: Take) -> Results:
        while (part := take()) is not None:
            yield part, run_part(part)


class Processes:
    """Worker processes on this machine, by joblib's loky."""

    def __init__(self, count: int) -> None:
        self._count = count

    def measure(self, take: Take) -> Results:
        from joblib.externals.loky import ProcessPoolExecutor

        pool = ProcessPoolExecutor(self._count, timeout=None, initializer=_end_silently)
        try:
            with warnings.catch_warnings():
                # loky ends a worker whose memory has grown, between two parts, and begins another:
                # nothing is lost, and nobody has to do anything.
                warnings.filterwarnings("ignore", message="A worker stopped", category=UserWarning)
                yield from _pooled(pool, take, lambda: 2 * self._count)
        finally:
            # At once: what the workers are at when this is left early is lost anyway.
            with _without_manager_errors():
                pool.shutdown(wait=True, kill_workers=True)


class Cluster:
    """The workers of a dask scheduler; those that join later are used as well."""

    def __init__(self, address: str, timeout: float = 5.0) -> None:
        """Raises ClusterFailed."""
        # dask makes a cluster of its own of an empty address, and of others what it can.
        if not re.fullmatch(r"(tcp|tls)://[^/\s]+:\d+", address):
            raise ClusterFailed("is no address; give that of a scheduler, as tcp://HOST:8786")
        try:
            from distributed import Client
        except ImportError as error:
            raise ClusterFailed("it needs dask: pip install 'marginflow[cluster]'") from error
        try:
            self._client = Client(address, timeout=timeout, set_as_default=False)
        except (OSError, ValueError) as error:
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ClusterFailed(f"no scheduler answers at {address} ({why})") from error

    def _threads(self) -> int:
        """How many parts can be measured at a time now."""
        try:
            return sum(self._client.nthreads().values())
        except (OSError, RuntimeError) as error:  # on the way to it, or already given up
            raise ClusterFailed(LOST) from error

    def measure(self, take: Take) -> Results:
        with _without_messages("distributed.client"):
            try:
                if not self._threads():
                    raise ClusterFailed("the scheduler has no worker; start one with `dask worker`")
                pool = self._client.get_executor(pure=False)
                # Two for every thread, so that none waits; those that die are replaced by dask.
                yield from _pooled(pool, take, lambda: 2 * max(1, self._threads()))
            except CancelledError as error:  # nothing here cancels: the scheduler took them along
                raise ClusterFailed(LOST) from error
            finally:
                self._client.close()


def _pooled(pool: Executor, take: Take, width: Callable[[], int]) -> Results:
    """Keep ``width()`` parts under way until there are no more, and nothing is under way.

    Raises CancelledError where the pool drops what it was given.
    """
    expected = code()
    running: dict[Future[Measured], Part] = {}
    gone = ""
    while not gone:
        while len(running) < width() and (part := take()) is not None:
            running[pool.submit(run_part, part, expected)] = part
        if not running:
            return
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        # What was measured first: a cancelled one raises, and ends this.
        for future in sorted(finished, key=Future.cancelled):
            part = running.pop(future)
            try:
                measured = future.result()
            except CancelledError:
                raise
            except Exception as error:
                # run_part itself never raises: the worker, or the way to it, is gone.
                gone = f"{GONE} ({type(error).__name__})"
                measured = Measured(None, 0.0, "error", gone)
            yield part, measured
    for part in running.values():
        yield part, Measured(None, 0.0, "error", gone)


@contextmanager
def _without_messages(logger: str) -> Iterator[None]:
    """dask logs a traceback for every lost connection; what it means is said in one line."""
    level = logging.getLogger(logger).level
    logging.getLogger(logger).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logging.getLogger(logger).setLevel(level)


@contextmanager
def _without_manager_errors() -> Iterator[None]:
    """loky's manager thread forgets the parts that wait when it kills the workers, and then
    stumbles over one submitted just before (KeyError, seen on Ctrl-C): nothing is lost by it,
    and a traceback would say otherwise."""
    shown = threading.excepthook

    def hook(failure: threading.ExceptHookArgs) -> None:
        name = failure.thread.name if failure.thread is not None else ""
        if not (failure.exc_type is KeyError and name.startswith("ExecutorManagerThread")):
            shown(failure)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = shown


def _end_silently() -> None:
    """A terminal sends Ctrl-C to the workers too: they end by it, without a traceback each."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
