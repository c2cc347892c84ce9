"""What is made or found on AWS; only EKS stacks import it, because pulumi_aws takes half a second."""
