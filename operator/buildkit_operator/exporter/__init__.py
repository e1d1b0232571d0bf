"""The metrics exporter: a process of its own that asks every shared daemon how busy it is, and tells Prometheus."""
