"""Spellings of quantities and what a real API server makes of each, for the unit tests and the proof of the table."""

from typing import Final

SPELLINGS: Final = [
    ("1.5Gi", "1536Mi"),
    ("1024", "1024"),
    ("1024Ki", "1Mi"),
    ("1000Mi", "1000Mi"),
    ("0.5Ki", "512"),
    ("0.5Mi", "512Ki"),
    ("0.7Gi", "751619276800m"),
    ("0Gi", "0"),
    ("0.0", "0"),
    ("0.5", "500m"),
    (".5", "500m"),
    ("5.", "5."),
    ("+5", "+5"),
    ("007", "007"),
    ("1100m", "1100m"),
    ("0.001", "1m"),
    ("1000k", "1M"),
    ("1.25M", "1250k"),
    ("1E", "1E"),
    ("10E", "10E"),
    ("7Ei", "7Ei"),
    ("1e0", "1e0"),
    ("1e3", "1e3"),
    ("1E3", "1E3"),
    ("3e2", "300"),
    ("100e1", "1e3"),
    ("1.5e3", "1500"),
    ("1e-3", "1e-3"),
    ("1e19", "10e18"),
    ("12345678901234567890123456789", "12345678901234567890123456789"),
]
"""As written, and as the server stores it in a pod template. Read from Kubernetes 1.37."""
