"""A Ray cluster of two machines of one core each, on this one, that starts on a busy machine too."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

AGENTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
PATIENCE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_health_check_failure_threshold": "100",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextmanager
def two_nodes() -> Iterator[None]:
    """Start the machines, and connect this process as the driver."""
    import ray
    from ray._private import services
    from ray.cluster_utils import Cluster

    start_raylet = services.start_raylet

    def start(*args: Any, **settings: Any) -> Any:
        # A machine waits 15 s for its helpers to say their ports, and gives up. They are known here: say them at once.
        node, session = args[2], Path(args[11])
        for name in AGENTS:
            (session / f"{name}_{node}").write_text(str(settings[name]))
        return start_raylet(*args, **settings)

    machine = {"num_cpus": 1}
    with patch.dict(os.environ, PATIENCE), patch.object(services, "start_raylet", start):
        cluster = Cluster(initialize_head=True, head_node_args={**machine, "include_dashboard": False, **_free_ports()})
        try:
            cluster.add_node(**machine, **_free_ports())
            ray.init(address=cluster.address, logging_level=logging.ERROR, log_to_driver=False)
            yield
        finally:
            ray.shutdown()
            cluster.shutdown()


def _free_ports() -> dict[str, int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in AGENTS]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return dict(zip(AGENTS, ports, strict=True))
