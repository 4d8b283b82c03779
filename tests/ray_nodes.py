"""Ray nodes on loopback, one processor each, for tests and benchmarks that are asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pytest

needs_ray = pytest.mark.skipif(
    not os.environ.get("EQUIPOISE_RAY") or find_spec("ray") is None,
    reason="starts Ray nodes, which takes minutes and the extra ray: `make ray` runs it",
)
_MEMORY = 100_000_000


class Nodes:
    """A cluster whose nodes can be killed.

    Attributes:
        address: of its head.
    """

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.address: str = cluster.address

    @property
    def logs(self) -> str:
        """Folder of what Ray and its workers write down."""
        return self._cluster.head_node.get_session_dir_path()

    def add(self, processors: int = 1) -> Any:
        """Start another node."""
        return self._cluster.add_node(
            num_cpus=processors, node_ip_address="127.0.0.1", object_store_memory=_MEMORY
        )

    def kill(self, node: Any) -> None:
        """Kill a node and all that runs on it, as a power cut does."""
        self._cluster.remove_node(node, allow_graceful=False)


@contextmanager
def nodes(head_processors: int = 1) -> Iterator[Nodes]:
    """Run a head with so many processors; all nodes get this process's environment."""
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # else it leaves loopback
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
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
