"""Ray, where it is wanted: other machines' processors for what takes one machine long.

The only file that imports Ray, and only when it is asked for. What runs elsewhere is named, not
sent: workers import it from the Equipoise that is installed on their node.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")

ADDRESS = "127.0.0.1:6379"
"""Where `ray start --head` listens if it is not told otherwise."""
_HOME = Path(__file__).resolve().parents[1]
_LOOPBACK = ("127.", "localhost", "::1")
_TRIES = 3


class ClusterUnavailable(ValueError):
    """Ray is not installed, or no cluster answers; the message says what to do."""


class NodeLost(RuntimeError):
    """The nodes on which a piece of work ran died, each time it was tried."""


def require() -> None:
    """Check that Ray is installed, without importing it.

    Raises:
        ClusterUnavailable: it is not.
    """
    if find_spec("ray") is None:
        raise ClusterUnavailable("Ray is not installed: uv pip install 'equipoise[ray]'")


def load(address: str) -> Any:
    """Import Ray as it has to be for an address; takes seconds, connects to nothing.

    Raises:
        ClusterUnavailable: it is not installed.
    """
    require()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_COLOR_PREFIX", "0")  # what workers print goes into our log
    # Else Ray packs the current folder, whatever lies there, where a driver was begun by `uv run`.
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    if address.strip("[").startswith(_LOOPBACK):
        # Else Ray takes the machine's outer address for 127.0.0.1, where nothing has to listen.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    import ray

    return ray


@contextmanager
def connected(address: str, *, logs: bool = False) -> Iterator[Any]:
    """Be a driver of a cluster while the body runs; yields the module `ray`.

    What still runs there when the body ends is ended by Ray.

    Args:
        address: host:port of the head; this machine must be one of the cluster's nodes.
        logs: whether what workers print comes out of this process, too.

    Raises:
        ClusterUnavailable: Ray is not installed, or nobody answers.
    """
    reach(address)
    ray = load(address)
    # Ray puts a driver's folder on the workers' module path: ours is where our packages are, and
    # not where somebody's own `model.py` may lie.
    before = os.getcwd()
    os.chdir(_HOME)
    try:
        ray.init(address=address, log_to_driver=logs, configure_logging=False)
    except (ConnectionError, RuntimeError) as error:
        raise ClusterUnavailable(
            f"The Ray cluster at {address} takes no driver from this machine: {str(error)[:300]} "
            f"Make the machine a node: `ray start --address={address}`."
        ) from error
    finally:
        os.chdir(before)
    try:
        yield ray
    finally:
        ray.shutdown()


def each(
    ray: Any,
    function: Callable[..., Result],
    calls: Sequence[tuple[Any, ...]],
    *,
    name: str,
    tries: int = _TRIES,
) -> Iterator[tuple[int, Result] | None]:
    """Make calls on the cluster, one processor each, and yield results as they come.

    A call whose node dies is made again elsewhere, so it must be one that may be repeated.

    Args:
        ray: of `connected`.
        function: one of a module's own, which workers import.
        calls: its arguments; they are stored and shown nowhere, but cross the network as they are.
        name: how the calls are called in Ray's lists.
        tries: how often a call is made before it is given up.

    Yields:
        (which call, its result), in the order in which they end; None about once a second.

    Raises:
        NodeLost: a call's workers died each time.
        Exception: what a call raised.
    """
    job = ray.remote(function).options(num_cpus=1, max_retries=tries - 1, name=name)
    waiting = {job.remote(*call): index for index, call in enumerate(calls)}
    while waiting:
        done, _ = ray.wait(list(waiting), num_returns=1, timeout=1.0)
        for one in done:
            yield waiting.pop(one), result(ray, one)
        yield None


def result(ray: Any, job: Any) -> Any:
    """Return what a job returned.

    Raises:
        NodeLost: its worker or node died.
        Exception: what it raised.
    """
    try:
        return ray.get(job)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause or error) from None
    except ray.exceptions.RayError as error:
        raise NodeLost(f"its worker or node died ({type(error).__name__})") from error


def this_machine(ray: Any) -> dict[str, float]:
    """Return what a job asks for to run on this machine or not at all."""
    return {f"node:{ray.util.get_node_ip_address()}": 0.001}


def reach(address: str) -> None:
    """Check that somebody listens at an address; Ray itself tries for minutes.

    Raises:
        ClusterUnavailable: nobody does.
    """
    try:
        socket.create_connection(place(address), timeout=5).close()
    except OSError as error:
        raise ClusterUnavailable(
            f"No Ray cluster answers at {address} ({error}): start one with `ray start --head`, "
            "and name it (host:port) with ray_address."
        ) from error


def place(address: str) -> tuple[str, int]:
    """Return host and port of an address.

    Raises:
        ClusterUnavailable: it is none.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        raise ClusterUnavailable(f"{address!r} is no address of a Ray cluster: write host:port.")
    return host.strip("[]"), int(port)
