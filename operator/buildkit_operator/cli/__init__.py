"""The command line's own commands, for people and pipelines: what the operator does, shown without one."""
