"""A real Kubernetes on this machine, what stands in for cloud, GPU and hub, and the commands behind `make`."""
