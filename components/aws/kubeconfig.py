"""How the Kubernetes provider signs in to an EKS cluster."""

from __future__ import annotations

import pulumi


def kubeconfig(
    name: str,
    region: str,
    *,
    profile: str | None,
    endpoint: pulumi.Input[str],
    certificate_authority: pulumi.Input[str],
) -> pulumi.Output[str]:
    """A kubeconfig, marked secret, whose token comes from the AWS CLI whenever the provider asks for one.

    It holds no token, which would be of no use after 15 minutes. `certificate_authority` is in base64. The API version
    is the one that `aws eks update-kubeconfig` writes: every AWS CLI 2 answers it. `profile` is that of the AWS
    provider, and an argument: over AWS_PROFILE the CLI prefers keys in the environment, and the provider its profile.
    """
    arguments = ["eks", "get-token", "--cluster-name", name, "--region", region, "--output", "json"]
    if profile is not None:
        arguments += ["--profile", profile]
    content = pulumi.Output.json_dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": name, "cluster": {"server": endpoint, "certificate-authority-data": certificate_authority}}
            ],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
            "users": [
                {
                    "name": name,
                    "user": {
                        "exec": {
                            "apiVersion": "client.authentication.k8s.io/v1beta1",
                            "command": "aws",
                            "args": arguments,
                            "interactiveMode": "Never",
                            "provideClusterInfo": False,
                        }
                    },
                }
            ],
        }
    )
    return pulumi.Output.secret(content)
