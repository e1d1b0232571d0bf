"""The command line's own commands, for people and pipelines: what the operator does, and how a cluster is."""
