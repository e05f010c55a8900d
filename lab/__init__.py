"""trove-lab: a reproducible OpenStack Trove lab, and figures to judge it by."""

__version__ = "0.2.0"
