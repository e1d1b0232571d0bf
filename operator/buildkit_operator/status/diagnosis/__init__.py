"""Diagnosis: what live objects tell of what is wrong with daemons, PVCs, runner pods and drains. No I/O."""
