"""Keys that clients have to show: a Secret that engines read as a file, so that no argument, variable or log has them.

To change one without a lost stream: add the new key, `pulumi up`, move the clients, take the old one out, `pulumi up`.
Each is an ordinary rollout, since the name of the Secret follows from the keys and is part of the replicas' template.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Final

import pulumi
import pulumi_kubernetes as k8s

from components import pod
from components.engine_extras import NOTHING, Extras
from components.engines.ask import KEY_FILE
from components.settings import ApiKeys

VOLUME: Final = "api-keys"
FIELD: Final = posixpath.basename(KEY_FILE)


class KeySecret(pulumi.ComponentResource):
    """The Secret with the keys; its name is new with every change of them."""

    secret: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        keys: ApiKeys,
        *,
        namespace: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Make it."""
        super().__init__("inference:index:KeySecret", name, None, opts)
        # The keys' hash is in its name in Pulumi's state as well: going back to the keys before, after a rollout that
        # failed, finds their Secret in place. Replicas that drain have read theirs when it is deleted.
        logical = f"{name}-{keys.digest}"
        self.secret = k8s.core.v1.Secret(
            logical,
            metadata=k8s.meta.v1.ObjectMetaArgs(name=logical, namespace=namespace, labels=pod.MANAGED_BY),
            immutable=True,
            # JSON is YAML, and what asks for the startup probe has no library for the latter.
            string_data={FIELD: pulumi.Output.json_dumps({"api-key": keys.keys})},
            opts=pulumi.ResourceOptions(parent=self),
        ).metadata.name
        self.register_outputs({"secret": self.secret})


def key_extras(
    models: Iterable[str],
    keys: ApiKeys | None,
    namespace: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> dict[str, Extras]:
    """What each model's engine gets, so that it asks for a key: nothing in a stack without keys."""
    if keys is None:
        return dict.fromkeys(models, NOTHING)
    secret = KeySecret("api-keys", keys, namespace=namespace, opts=opts).secret
    return dict.fromkeys(models, extras(secret))


def extras(secret: pulumi.Input[str]) -> Extras:
    """The keys as an engine takes them: from a file."""
    items = [k8s.core.v1.KeyToPathArgs(key=FIELD, path=FIELD)]
    source = k8s.core.v1.SecretVolumeSourceArgs(secret_name=secret, items=items)
    mount = k8s.core.v1.VolumeMountArgs(name=VOLUME, mount_path=posixpath.dirname(KEY_FILE), read_only=True)
    return Extras(
        arguments=("--config", KEY_FILE),
        volumes=(k8s.core.v1.VolumeArgs(name=VOLUME, secret=source),),
        mounts=(mount,),
    )
