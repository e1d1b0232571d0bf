"""A controller runtime on kopf's watches: informer cache, work queue, workers, leader election. It knows no builder."""
