"""Starts a stand-in as the engine starts a plugin: `__main__.py plugins.language_host ... ENGINE_ADDRESS`.

The port is the first line on stdout; the plugin leaves quietly on SIGINT, on SIGTERM, and when the engine is gone.
"""

import importlib.util
import os
import signal
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def main(host: str, engine: str) -> None:
    """Serve `host`, a module of rehearsal's, until told to leave."""
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    # Running the SDK's and the Kubernetes client's __init__ takes seconds; only their stubs and transport are needed.
    for package in ("pulumi", "pulumi.runtime", "kubernetes", "kubernetes.client"):
        spec = importlib.util.find_spec(package)
        sys.modules[package] = module = types.ModuleType(package)
        module.__path__ = list((spec and spec.submodule_search_locations) or [])
    import grpc  # noqa: PLC0415 - after the packages above are laid bare

    leave, parent = threading.Event(), os.getppid()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: leave.set())
    server = grpc.server(ThreadPoolExecutor(64), options=[("grpc.max_receive_message_length", -1)])
    importlib.import_module(f"rehearsal.{host}").register(server, engine)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)  # noqa: T201 - so the engine learns the port
    server.start()
    while os.getppid() == parent and not leave.wait(0.5):
        pass
    server.stop(grace=0).wait(1)
    os._exit(0)  # threads of calls that nobody waits for any more must not keep the process


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[-1])
