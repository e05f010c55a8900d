"""trove-lab: a reproducible OpenStack Trove lab, and figures to judge it by."""
