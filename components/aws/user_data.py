r"""What AL2023 nodes with an instance store do when they start.

`nodeadm` (https://awslabs.github.io/amazon-eks-ami/nodeadm/) makes one RAID 0 of the disks, mounts it at
`/mnt/k8s-disks/0` and puts the folders of kubelet and containerd there, after cloud-init's scripts have run. So what
needs the mount is a unit of systemd that the kubelet waits for, and the script only installs it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from email.message import Message
from email.mime.multipart import MIMEMultipart
from typing import Final

from components.pod import USER

MOUNT: Final = "/mnt/k8s-disks/0"
BOUNDARY: Final = "inference"
NODE_CONFIG: Final = """\
---
apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  instance:
    localStorage:
      strategy: RAID0
"""
UNIT: Final = "inference-folders.service"


def user_data(folders: Sequence[str]) -> str:
    """User data of a launch template, in base64; EKS adds a part of its own that says how to join."""
    parts = [_part("application/node.eks.aws", NODE_CONFIG)]
    if folders:
        parts.append(_part('text/x-shellscript; charset="us-ascii"', script(folders)))
    return base64.b64encode(MIMEMultipart("mixed", BOUNDARY, parts).as_bytes()).decode()


def script(folders: Sequence[str]) -> str:
    """Makes folders on the instance store that belong to the pods' user, before each start of the kubelet.

    Not without the mount: on a type without disks the folders would fill the root volume. A pod that needs one is then
    not started, because the kubelet does not make it.
    """
    return f"""\
#!/bin/bash
set -o errexit
cat >/etc/systemd/system/{UNIT} <<'END'
[Unit]
Description=Folders for model weights on the instance store
ConditionPathIsMountPoint={MOUNT}
After=mnt-k8s\\x2ddisks-0.mount
Before=kubelet.service

[Service]
Type=oneshot
ExecStart=/usr/bin/install --directory --owner={USER} --group={USER} --mode=0750 {" ".join(sorted(folders))}

[Install]
WantedBy=kubelet.service
END
systemctl daemon-reload
systemctl enable --now {UNIT}
"""


def _part(content_type: str, text: str) -> Message:
    part = Message()
    part["Content-Type"] = content_type
    part.set_payload(text)
    return part
