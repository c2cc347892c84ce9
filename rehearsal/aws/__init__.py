"""AWS without an account: moto's server with what it lacks, what is in it, and a stack's whole life on it."""
