"""The real Ollama, a registry, and a model in it that Ollama has made and pushed itself."""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from rehearsal import registry, toolchain
from rehearsal.cluster import certificates
from rehearsal.hub import model as small_model
from rehearsal.places import Places
from rehearsal.toolchain import ollama
from tests.figures import CONTRACT, FIGURES
from tests.ollama import front
from tests.ollama.front import Front
from tests.ollama.tool import Tool
from tests.simulator.engines import free_port

collect_ignore_glob = [] if ollama.installed(Places.of_user()) else ["test_*.py"]
NAME = "rehearsal/tiny"
TAG = "1"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MODELFILE = 'FROM {folder}\nTEMPLATE "{{{{ .Prompt }}}}"\nPARAMETER temperature 0\n'


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """A model in the registry, and where the registry keeps it."""

    registry: str
    authority: Path
    front: Front
    storage: Path
    manifest: bytes

    @property
    def location(self) -> str:
        """Under which it can be pulled."""
        return f"{self.front.address}/{NAME}:{TAG}"

    @property
    def pin(self) -> str:
        """What a source is pinned by."""
        return hashlib.sha256(self.manifest).hexdigest()

    def client(self) -> httpx.Client:
        """What asks the registry itself."""
        trusting = ssl.create_default_context(cafile=self.authority)
        return httpx.Client(base_url=f"https://{self.registry}", verify=trusting)


@pytest.fixture(autouse=True)
def counted() -> None:
    version = toolchain.pins().program("ollama").version.removeprefix("v")
    FIGURES[f"{CONTRACT}Ollama {version}"] += 1


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an authority (ca.crt) and a server's certificate."""
    made = tmp_path_factory.mktemp("registry")
    certificates._authority(made, "ca")
    loopback = (ipaddress.IPv4Address("127.0.0.1"),)
    certificates._certificate(made, "api", user="api", names=("localhost",), addresses=loopback)
    return made


@pytest.fixture(scope="session")
def tool(folder: Path) -> Tool:
    return Tool(program=ollama.program(Places.of_user()), authority=folder / "ca.crt")


@pytest.fixture(scope="session")
def pushed(tool: Tool, folder: Path) -> Iterator[Pushed]:
    certificate, key = folder / "api.crt", folder / "api.key"
    http = registry.configuration(folder)["http"] | {"tls": {"certificate": str(certificate), "key": str(key)}}
    with (
        registry.running(toolchain.ensure_registry(Places.of_user()), folder, http=http) as url,
        front.standing(
            address := url.removeprefix("http://"), authority=tool.authority, certificate=certificate, key=key
        ) as before,
    ):
        make_and_push(tool, folder / "made", f"{address}/{NAME}:{TAG}")
        made = Pushed(
            registry=address, authority=tool.authority, front=before, storage=folder / "storage", manifest=b""
        )
        with made.client() as client:
            found = client.get(f"/v2/{NAME}/manifests/{TAG}", headers={"Accept": MANIFEST}).raise_for_status()
        yield replace(made, manifest=found.content)


def make_and_push(tool: Tool, folder: Path, name: str) -> None:
    """The small model as Ollama converts it, in the registry that its name begins with."""
    small_model.write(folder / "tiny-llama")
    (folder / "Modelfile").write_text(MODELFILE.format(folder=folder / "tiny-llama"))
    port = free_port()
    environment = {**tool.environment(folder, port), "OLLAMA_MODELS": str(folder / "store")}
    with tool.serving(environment, folder / "log", port=port):
        tool.run(environment, "create", name, "-f", str(folder / "Modelfile"))
        tool.run(environment, "push", name)
