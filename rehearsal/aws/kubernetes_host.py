"""The `kubernetes` provider of AWS stacks without an account: there is no cluster, and nobody is asked.

In a preview the facts of a cluster are placeholders; in a rehearsal what would be applied is rendered to a folder.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import grpc
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import provider_pb2_grpc

from rehearsal.plugins.api_server import NOT_FOUND, ApiServer, Refused, Unreachable
from rehearsal.plugins.awaits import Verdict
from rehearsal.plugins.kubernetes_host import Kubernetes, Obj
from rehearsal.plugins.properties import dump, load

RELEASE = "kubernetes:helm.sh/v3:Release"
RENDER = "REHEARSAL_RENDER"
"""Names the folder for what would be applied (`make rehearse-aws`)."""


class Placeholder(ApiServer):
    """Stands for the API server of a cluster that a preview does not know."""

    def path(self, obj: Obj) -> str:
        """The object's file, in a rehearsal."""
        metadata = obj["metadata"]
        words = obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"]
        return "-".join(filter(None, words)).replace("/", "-").lower() + ".json"

    def ask(self, method: str, path: str, body: Any = None, content: str = "", **query: Any) -> Any:  # noqa: ARG002 - nobody is asked
        """Raises Unreachable."""
        server = re.search(r"https://[^/\s\"']+", self.settings.get("kubeconfig", ""))
        where = server[0] if server else "a cluster to come"
        raise Unreachable(f"no Kubernetes is asked: {where} stands for one that a preview does not know")


class Folder(Placeholder):
    """A JSON file for each object, much as the official plugin's renderYamlToDirectory."""

    def __init__(self, settings: dict[str, str], folder: Path) -> None:
        super().__init__(settings)
        self.folder = folder

    def ask(self, method: str, path: str, body: Any = None, content: str = "", **query: Any) -> Any:  # noqa: ARG002 - JSON only
        """Write, read or remove the file at `path`."""
        file = self.folder / path
        if method == "PATCH":
            if "dryRun" not in query:
                file.write_text(json.dumps(body))
            return body | {"metadata": body["metadata"] | {"uid": path, "generation": 1}}
        if not file.is_file():
            raise Refused(NOT_FOUND, f"{path} not found")
        found = json.loads(file.read_text())
        if method == "DELETE":
            file.unlink()
        return found | {"metadata": found["metadata"] | {"uid": path, "generation": 1}}


class WithoutCluster(Kubernetes):
    """Awaits nothing, and takes a Helm release for an object: its chart is not rendered."""

    def Configure(self, request: pb.ConfigureRequest, context: Any) -> Any:  # noqa: D102, N802 - the protocol's
        response, folder = super().Configure(request, context), os.environ.get(RENDER)
        settings = self.api.settings
        self.api = Folder(settings, Path(folder)) if folder else Placeholder(settings)
        return response

    def Check(self, request: pb.CheckRequest, context: Any) -> Any:  # noqa: D102, N802 - the protocol's
        if request.type != RELEASE:
            return super().Check(request, context)
        inputs, old = load(request.news), load(request.olds)
        inputs.setdefault("name", old.get("name") or f"{request.name}-{request.randomSeed[:4].hex()}")
        metadata = {key: inputs[key] for key in ("name", "namespace") if key in inputs}
        object_ = {"apiVersion": "helm.sh/v3", "kind": "Release", "metadata": metadata}
        return pb.CheckResponse(inputs=dump({**inputs, **object_}))

    def _judge(self, _: Obj) -> Verdict:
        return True, ""


def register(server: grpc.Server, engine: str) -> None:
    """Serve the provider."""
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(WithoutCluster(engine), server)
