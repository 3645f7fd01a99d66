"""A Ray cluster of two nodes on this host, one of them killed midway."""

import logging
import os
import threading
import time

import pytest

from teachers.scripted.server import Faults

pytest.importorskip("ray")
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

ROWS, IN_FLIGHT = 400, 16
MEMORY = 100 * 2**20
SECONDS = 120.0


@pytest.fixture
def cluster():
    """Two nodes; the command runs on the head."""
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": MEMORY, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=node)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.slow
def test_a_killed_node_changes_nothing(cluster, project, tmp_path, monkeypatch):
    """The same bytes as one process; of the rows that were lost no answer is paid for again."""
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    far = cluster.add_node(num_cpus=2, object_store_memory=MEMORY)
    cluster.wait_for_nodes()
    made, asked = {}, {}
    done, killed = threading.Event(), threading.Event()
    engines = {"local": "local", "ray": f"ray, address: '{cluster.address}'"}
    for name, engine in engines.items():
        with project.served(Faults(latency_s=0.05)) as server:
            folder = tmp_path / name
            recipe = project.write_project(
                folder,
                rows=ROWS,
                teacher=server.teacher(concurrency=IN_FLIGHT),
                more=f"run: {{engine: {engine}}}\n",
            )
            monkeypatch.chdir(folder)

            def kill(server=server):
                end = time.monotonic() + SECONDS
                while time.monotonic() < end and not done.is_set():
                    if server.requests > ROWS // 4:
                        cluster.remove_node(far, allow_graceful=False)
                        killed.set()
                        return
                    time.sleep(0.02)

            thread = threading.Thread(target=kill)
            if name == "ray":
                thread.start()
            said = project.command("generate", recipe, "--json")
            done.set() if name == "ray" else None
            assert said.code == 0, said.err + said.out
            files = sorted((folder / "runs/tiny/dataset").glob("*.jsonl"))
            made[name] = {path.name: path.read_bytes() for path in files}
            asked[name] = server.requests
    thread.join(SECONDS)
    assert killed.is_set()
    assert made["ray"] == made["local"]
    assert asked["local"] == ROWS
    assert ROWS <= asked["ray"] <= ROWS + IN_FLIGHT
