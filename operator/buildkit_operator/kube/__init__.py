"""Talking to a Kubernetes API server in plain dicts. Knows nothing of builders, imports nothing else of the package."""
