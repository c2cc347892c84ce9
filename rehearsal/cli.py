"""The commands behind `make`."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from components.settings.concealment import masked
from rehearsal import answer, cluster, images, model_facts, stack, toolchain, vllm
from rehearsal.addon import Addon, asked_for, in_order
from rehearsal.cluster import preflight
from rehearsal.fault import Fault
from rehearsal.kubectl import Kubectl
from rehearsal.places import Places
from rehearsal.progress import console, notes, span
from rehearsal.pulumi_cli import embedded, throwaway, users_own
from rehearsal.toolchain import judges, ollama
from rehearsal.vllm.overlay import overlay

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
Stack = Annotated[str, typer.Option("--stack", envvar="STACK", help="The stack: Pulumi.<stack>.yaml.")]
CACHE_BYTES = 2 << 30
"""Built programs, unpacked packages, images: measured 1.1 GiB."""


def existing_cluster() -> bool:
    """Whether the user brings the cluster (`CLUSTER=existing`)."""
    choice = os.environ.get("CLUSTER", "embedded")
    if choice not in ("embedded", "existing"):
        raise Fault(f"CLUSTER: {choice!r}; allowed: embedded (the default), existing; run: CLUSTER=existing make up")
    return choice == "existing"


def engine_choice() -> stack.Change:
    """What `ENGINE` makes of a stack's settings: nothing, or the simulators in it are the real vLLM (`ENGINE=vllm`)."""
    choice = os.environ.get("ENGINE") or "simulator"
    if choice not in ("simulator", "vllm"):
        raise Fault(f"ENGINE: {choice!r}; allowed: simulator (the default), vllm; run: make up ENGINE=vllm")
    if choice == "vllm" and existing_cluster():
        raise Fault("ENGINE: vllm is for the embedded cluster, as the simulator is; run: make up ENGINE=vllm")
    return overlay if choice == "vllm" else dict


@app.command()
def up(name: Stack = "local") -> None:
    """Set everything up, bring the stack up, and stream one answer through its Service."""
    started = time.monotonic()
    places = Places.of_user()
    change = engine_choice()
    settings = stack.read(name, change)
    if existing_cluster():
        kubeconfig = stack.existing_kubeconfig(settings)
        tools = toolchain.ensure_cli(places)
        kubectl = stack.users_kubectl(settings, tools, places, kubeconfig)
        engine = users_own(places, tools, kubeconfig, aws=stack.on_aws(settings))
    else:
        stack.require_embedded(settings)
        preflight.check(places.state)
        network = str(cluster.network_block())
        wanted = stack.addons(settings) | asked_for()
        tools, archives = _toolchain(places, wanted, real_engine=change is overlay)
        kubectl = Kubectl(program=tools.kubectl, kubeconfig=str(places.kubeconfig), direct=network)
        mounted = places.vllm if change is overlay else None
        cluster.up(stack.nodes(settings, engine=mounted), archives, places, kubectl, wanted)
        engine = embedded(places, tools, network)
    engine.select(name)
    with tempfile.TemporaryDirectory() as folder:
        code = engine.up(name, stack.write_changed(name, change, Path(folder)) if change is overlay else None)
    if code:
        console.print(
            f"make up: `pulumi up --stack {name}` failed, see above; its state is kept: mend it and run make up again"
        )
        raise typer.Exit(code)
    if stack.on_aws(settings):
        stack.write_kubeconfig(settings, kubectl)
    key = stack.api_key(engine, name)
    direct = not existing_cluster() and stack.lets_in(settings, cluster.host_addresses())
    for model, (service, door) in stack.doors(engine, name).items():
        console.print(f"\n[bold]{model}[/bold] is asked: {answer.PROMPT}")
        with stack.reach(kubectl, service, direct=direct, door=door) as address:
            given = answer.ask(f"http://{address}/v1", model, key=key, host=door.name if door else None)
        rate = given.tokens / given.total_s
        console.print(
            f"[dim]{given.tokens} tokens, finish_reason {given.finish_reason}, "
            f"first after {given.first_token_s * 1000:.0f} ms, {rate:.0f} tokens/s[/dim]"
        )
        if direct:
            named = f"  [dim]for requests with the header Host: {door.name}[/dim]" if door else ""
            console.print(f"endpoint      http://{address}/v1{named}")
    console.print(f"look around   export KUBECONFIG={kubectl.kubeconfig}; {kubectl.program} get pods -A -o wide")
    console.print(f"change        edit Pulumi.{name}.yaml, then: make preview STACK={name}; make up")
    console.print(f"stop          make down        [dim](all of this took {span(time.monotonic() - started)})[/dim]")


@app.command()
def down(name: Stack = "local") -> None:
    """Remove everything that `up` started, and nothing else."""
    places = Places.of_user()
    if existing_cluster():
        settings = stack.read(name)
        kubeconfig = stack.existing_kubeconfig(settings)
        engine = users_own(places, toolchain.ensure_cli(places), kubeconfig, aws=stack.on_aws(settings))
        engine.select(name)
        raise typer.Exit(engine.destroy(name))
    cluster.down(places)
    # The stack's objects went with the cluster: its state describes nothing any more.
    shutil.rmtree(places.pulumi, ignore_errors=True)
    console.print(f"nothing is left but the cache, for the next time: {places.cache}")


@app.command()
def status() -> None:
    """Say what runs."""
    found = cluster.status(Places.of_user())
    if found is None:
        console.print("no cluster; start it with: make up")
        return
    table = Table("component", "runs")
    for component, alive in found.components.items():
        table.add_row(component, "yes" if alive else "[red]no: make up starts it again[/red]")
    console.print(table)
    console.print(
        f"API server {'ready' if found.api_ready else 'not ready'}; {found.resident_bytes / 2**30:.2f} GiB resident"
    )
    if not (found.api_ready and all(found.components.values())):
        raise typer.Exit(1)


@app.command()
def preview(name: Stack = "local") -> None:
    """Preview a stack's changes; nothing is changed, not even its configuration file or its state."""
    places = Places.of_user()
    change = engine_choice()
    tools = toolchain.ensure_cli(places)
    with tempfile.TemporaryDirectory() as folder:
        # Pulumi writes to the file that it is given (a salt, `-c` values).
        config = Path(shutil.copy(stack.file(name), folder))
        if change is overlay:
            config = stack.write_changed(name, change, Path(folder))
        kubeconfig = os.devnull
        engine = None
        if existing_cluster():
            settings = stack.read(name)
            kubeconfig = stack.existing_kubeconfig(settings)
            engine = users_own(places, tools, kubeconfig, aws=stack.on_aws(settings))
        elif stack.says_aws(name):
            # Without an account: the official plugin would ask it even in a preview.
            engine = throwaway(Path(folder) / "state", places, tools, kubeconfig, stand_ins=("aws",))
            engine.select(name, config)
        elif places.kubeconfig.exists():
            engine = embedded(places, tools, str(cluster.network_block()))
        if engine is None or not engine.knows(name):
            # Nothing of this stack is up: against an empty state, and without a cluster unless the user names one.
            engine = throwaway(Path(folder) / "state", places, tools, kubeconfig)
            engine.select(name, config)
        raise typer.Exit(engine.preview(name, config))


@app.command("rehearse-aws")
def rehearse_aws(name: Stack = "dev") -> None:
    """Bring an AWS stack up against moto's server on this machine, change it, remove it, and check what is left."""
    started = time.monotonic()
    places = Places.of_user()
    # Here, because AWS's SDK takes half a second that other commands need not wait.
    from rehearsal.aws.rehearse import rehearse  # noqa: PLC0415

    outcome = rehearse(name, places, lambda: toolchain.ensure_cli(places))
    for difference in outcome.differences:
        notes.print(f"[red]differs:[/red] {escape(difference)}")
    if outcome.differences:
        raise typer.Exit(1)
    console.print(f"{outcome.text} [dim](all of this took {span(time.monotonic() - started)})[/dim]")


@app.command("model-facts")
def facts(
    name: Stack = "local",
    model: Annotated[str | None, typer.Option(envvar="MODEL", help="A key of inference:models.")] = None,
    endpoint: Annotated[
        str | None, typer.Option(envvar="ENDPOINT", help="Address of the source, where not the stack's.")
    ] = None,
    read_from: Annotated[
        str | None, typer.Option(envvar="READ_FROM", help="Where the volume of a source file:///PATH is mounted.")
    ] = None,
) -> None:
    """List the files of a model's source, from which the size of its volume follows, into the program's facts."""
    console.print(escape(model_facts.renew(name, model, endpoint=endpoint, read_from=read_from)), soft_wrap=True)


@app.command()
def env() -> None:
    """Print what lets plain `pulumi` and `kubectl` work on this: eval "$(make -s env)"."""
    places = Places.of_user()
    engine = embedded(places, toolchain.ensure_cli(places), str(cluster.network_block()))
    for key, value in stack.changed_environment(engine).items():
        sys.stdout.write(f"export {key}={shlex.quote(value)}\n")


@app.command("bench")
def measure(
    name: Stack = "local",
    repeats: Annotated[int, typer.Option(help="Previews of each program.")] = 5,
    cold: Annotated[bool, typer.Option("--cold", help="Remove the cluster first, and time make up.")] = False,
    document: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file too.")] = None,
) -> None:
    """Measure speed and size of the running stack, as ratios to what is allowed."""
    if existing_cluster():
        raise Fault("CLUSTER: make bench measures the embedded cluster; allowed: embedded; run: make bench")
    from rehearsal import bench  # noqa: PLC0415 - a fifth of the start of every other command

    bench.report(name, Places.of_user(), repeats=repeats, cold=cold, document=document)


@app.command()
def traffic(
    url: Annotated[str, typer.Option(help="Base of the OpenAI API: http://10.77.128.7:8000/v1.")],
    model: Annotated[str, typer.Option(help="The model to ask.")] = "chat",
    streams: Annotated[int, typer.Option(help="Streams in all.")] = 2000,
    rate: Annotated[float, typer.Option(help="Streams that begin a second, whatever the answers take.")] = 100,
    concurrency: Annotated[int, typer.Option(help="Streams open at a time; others wait, on the clock.")] = 4096,
    tokens: Annotated[int, typer.Option(help="Tokens of an answer; every tenth has four times as many.")] = 24,
    numbered: Annotated[bool, typer.Option(help="Check the simulator's words, not only their number.")] = True,
    keep_alive: Annotated[bool, typer.Option(help="Use connections again, as most clients do.")] = False,
    key: Annotated[str | None, typer.Option("--api-key", envvar="OPENAI_API_KEY", help="Where the API asks.")] = None,
) -> None:
    """Stream chat completions, check each of them to its end, retry none; exits with 1 if any is lost."""
    # Here, because the HTTP client takes a time that other commands need not wait.
    from rehearsal.traffic import command  # noqa: PLC0415
    from rehearsal.traffic.load import Load  # noqa: PLC0415

    load = Load(
        base_url=url.rstrip("/"),
        model=model,
        streams=streams,
        rate=rate,
        concurrency=concurrency,
        tokens=tokens,
        long_tokens=4 * tokens,
        numbered=numbered,
        keep_alive=keep_alive,
        api_key=key,
    )
    if command.run(load).lost:
        raise typer.Exit(1)


@app.command("vllm")
def install_vllm() -> None:
    """Install the real vLLM for this machine's CPU into the cache, once."""
    ensure_vllm(Places.of_user())


@app.command("ollama")
def build_ollama() -> None:
    """Build the real Ollama for this machine's CPU into the cache, once."""
    places = Places.of_user()
    if not ollama.installed(places):
        for folder in toolchain.go_caches():
            preflight.require_space(folder, ollama.BYTES, "building Ollama (Go's own caches)")
    toolchain.ensure_ollama(places)


@app.command("toolchain")
def build_toolchain(
    addons: Annotated[list[Addon] | None, typer.Argument(help="Addons of the cluster; without it all of them.")] = None,
) -> None:
    """Build everything that can be built ahead: the toolchain and the images."""
    places = Places.of_user()
    _toolchain(places, frozenset(in_order(addons or Addon)))
    toolchain.ensure_registry(places)
    toolchain.ensure_buildah(places)
    toolchain.ensure_prometheus(places)
    judges.ensure(places)


def _toolchain(
    places: Places, addons: frozenset[Addon], *, real_engine: bool = False
) -> tuple[toolchain.Tools, dict[str, Path]]:
    if not (places.bin / "kubelet").exists():
        preflight.require_space(places.cache, CACHE_BYTES, "the toolchain")
        for folder, needed in toolchain.go_caches().items():
            preflight.require_space(folder, needed, "building the toolchain (Go's own caches)")
    tools = toolchain.ensure_cli(places)
    toolchain.ensure_cluster(places, addons)
    if real_engine:
        ensure_vllm(places)
    return tools, images.build_all(places, addons, real_engine=real_engine)


def ensure_vllm(places: Places) -> None:
    """The real vLLM in the cache. Fault where the disk has no room for it."""
    if not vllm.installed(places):
        preflight.require_space(places.cache, vllm.BYTES, "installing vLLM")
    toolchain.ensure_vllm(places)


def main() -> None:
    """Run a command; a Fault, or the disk or a permission that fails, is one line and exit code 1."""
    try:
        app()
    except Fault as fault:
        _fail(str(fault))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        _fail(f"{error.filename}: {error.strerror}; mend it and run again")


def _fail(text: str) -> None:
    notes.print(f"[red]error:[/red] {escape(masked(text))}")
    sys.exit(1)
