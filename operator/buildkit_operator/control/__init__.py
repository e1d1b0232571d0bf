"""Keeping the cluster as builders want it: watches fill a cache, news enter a queue, workers reconcile."""
