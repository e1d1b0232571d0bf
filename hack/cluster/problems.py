"""The base of exceptions whose message is a sentence for people."""


class ClusterError(Exception):
    """The cluster cannot be had; the message says why and, where there is one, what to do."""
