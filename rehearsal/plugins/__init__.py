"""Stand-ins for Pulumi plugins that cannot be had offline: the Python language host and the `kubernetes` provider."""
