"""A soak test: builds in both modes without a break, while everything around them is disturbed, all at the same time.

`patient` is kubectl that waits while the API server is away, `clients` are the pods that build, `builders` are what
they build with and what is done to it, `surroundings` is what is done to operator and API server, `tally` says how each
build ended.
"""

from hack.bench.soak.measure import measure

__all__ = ["measure"]
