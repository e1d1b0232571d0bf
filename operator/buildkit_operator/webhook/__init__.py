"""The process that the API server asks about pods, where the cluster has no mutating admission policies."""
