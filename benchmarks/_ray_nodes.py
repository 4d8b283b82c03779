"""Ray nodes on loopback, one processor each, for tests and benchmarks that are asked for."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from model.cluster import load

KILLS = int(os.environ.get("EQUIPOISE_RAY_KILLS", "1"))
"""How often a node is killed in each test that kills one."""
_MEMORY = 100_000_000
_SAMPLE = 0.5


class Nodes:
    """A cluster whose nodes can be killed.

    Attributes:
        head: the first one.
        address: of its head.
    """

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.head = cluster.head_node
        self.address: str = cluster.address

    @property
    def logs(self) -> str:
        """Folder of what Ray and its workers write down."""
        return self.head.get_session_dir_path()

    def add(self, processors: int = 1) -> Any:
        """Start another node."""
        return self._cluster.add_node(
            num_cpus=processors, node_ip_address="127.0.0.1", object_store_memory=_MEMORY
        )

    @contextmanager
    def processor_seconds(self, *observed: Any) -> Iterator[list[float]]:
        """Give the processor time of each node's workers, known once the body has run.

        Note: Ray's workers are gone with their job, so they are watched while they live.
        """
        raylets = [one.all_processes["raylet"][0].process.pid for one in observed]
        spent: list[dict[int, float]] = [{} for _ in raylets]
        found, stop = [0.0] * len(raylets), threading.Event()

        def watch() -> None:
            while not stop.wait(_SAMPLE):
                for seconds, raylet in zip(spent, raylets, strict=True):
                    seconds.update(_children(raylet))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            stop.set()
            thread.join()
            found[:] = [sum(seconds.values()) for seconds in spent]

    def kill(self, node: Any) -> None:
        """Kill a node and all that runs on it, as a power cut does."""
        self._cluster.remove_node(node, allow_graceful=False)


def _children(parent: int) -> dict[int, float]:
    """Return the processor time of a process's children, by their ids."""
    tick, found = os.sysconf("SC_CLK_TCK"), {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found[int(path.parent.name)] = (int(fields[11]) + int(fields[12])) / tick
    return found


@contextmanager
def nodes(head_processors: int = 1) -> Iterator[Nodes]:
    """Run a head with so many processors; all nodes get this process's environment."""
    load("127.0.0.1:0")  # as a server does: Ray reads how it is to be when it is imported
    from ray.cluster_utils import Cluster

    head = {
        "num_cpus": head_processors,
        "include_dashboard": False,
        "node_ip_address": "127.0.0.1",
        "object_store_memory": _MEMORY,
    }
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield Nodes(cluster)
    finally:
        cluster.shutdown()
