"""Pinned: the same settings are the same bytes, today and in a year. Images by digest, charts by version, weights too.

A tag is a name that its owner may move: pods of one Deployment that start on different days can differ. Who builds
images where nothing moves a tag accepts the claim with that reason: docs/decisions/0022-claims.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from claims.claim import Claim
from claims.parts import Part, claim_of, of_model, setting
from components.engines import engine_of, image_of
from components.settings import EksCluster, EksPool, GpuPool, Model, Settings, parse_source
from components.settings.source_pins import find

DIGEST = "@sha256:"


def claims(settings: Settings) -> Iterator[Claim]:
    """One claim a model, and one for what the stack deploys beside them."""
    for name, model in settings.models.items():
        own = (_engine(name, model), _weights(name, model))
        yield claim_of("pinned", of_model(name), "its image and its weights are the same for ever", own)
    beside = (
        *(_image(f"images.{key}", image) for key, image in _images(settings).items()),
        *_charts(settings),
        *_of_eks(settings),
    )
    yield claim_of("pinned", "stack", "the images and charts beside the models are the same for ever", beside)


def _engine(name: str, model: Model) -> Part:
    part = _image(f"models.{name}.image", image_of(model))
    own = engine_of(model).image
    if part.change is None or own is None or DIGEST not in own:
        return part
    return Part(line=part.line, change=f"{part.change}, or taken out: the program's own is pinned")


def _image(path: str, image: str) -> Part:
    name, at, digest = image.partition(DIGEST)
    if at:
        return Part(line=f"image {name}: digest {digest[:12]}")
    return Part(
        line=f"image {image}: a tag, which can be moved to other bytes",
        change=f"{setting(path, f'{image}{DIGEST}DIGEST')}, with what oras resolve {image} says",
    )


def _weights(name: str, model: Model) -> Part:
    source = parse_source(model.source)
    if source.revision:
        return Part(line=f"weights {source.scheme}://{source.location}: revision {source.revision[:12]}")
    if source.scheme == "image":
        return Part(line=f"weights {source.scheme}://{source.location}: of the image")
    ask = find(source.scheme, source.location, "", model.weights.endpoint)
    return Part(
        line=f"weights {source.scheme}://{source.location}: whatever is there when they are seeded",
        proof=f"{setting(f'models.{name}.source', f'{model.source}{DIGEST}DIGEST')}: {ask}",
    )


def _images(settings: Settings) -> Mapping[str, str]:
    """Images that are no model's own, of those that the stack runs, by their settings."""
    plugin, images = settings.device_plugin, settings.images
    seeded = any(parse_source(model.source).scheme != "image" for model in settings.models.values())
    bare = plugin.enabled and not all(_brings_a_plugin(settings, pool) for pool in settings.gpu_pools.values())
    used = {
        "weightSeeder": (seeded, images.weight_seeder),
        "devicePlugin": (bare, images.device_plugin),
        "dcgmExporter": (plugin.dcgm_exporter, images.dcgm_exporter),
    }
    return {key: image for key, (runs, image) in used.items() if runs}


def _brings_a_plugin(settings: Settings, pool: GpuPool) -> bool:
    auto = isinstance(settings.cluster, EksCluster) and settings.cluster.auto_mode
    return isinstance(pool, EksPool) and (auto or pool.ami == "bottlerocket")


def _charts(settings: Settings) -> Iterator[Part]:
    """Their types take exact versions only; the images of a chart are those of its version."""
    autoscaling, monitoring = settings.autoscaling, settings.monitoring
    charts = {
        "keda": autoscaling.keda if autoscaling else None,
        "keda-add-ons-http": autoscaling.http_add_on if autoscaling else None,
        "kube-prometheus-stack": monitoring.prometheus if monitoring else None,
    }
    for name, addon in charts.items():
        if addon is not None and addon.install:
            yield Part(line=f"chart {name}: version {addon.version}, and the images of that")


def _of_eks(settings: Settings) -> Iterator[Part]:
    """What is not claimed, and told for that reason: what EKS chooses where the settings leave it to it."""
    if not isinstance(settings.cluster, EksCluster):
        return
    for name, pool in settings.gpu_pools.items():
        if isinstance(pool, EksPool):
            newest = "not claimed: the latest of EKS when a node or its group is made, unless amiRelease is set"
            release = newest if pool.ami_release is None else f"release {pool.ami_release}"
            yield Part(line=f"AMI of pool {name}: {release}")
    if settings.cluster.create is not None:
        versions = ", ".join(f"{key} {version}" for key, version in settings.cluster.create.addons.items())
        yield Part(
            line="add-ons and system nodes of EKS: not claimed: its versions of the day when they are made"
            + (f", but for {versions}" if versions else ", unless cluster.create.addons names them")
        )
