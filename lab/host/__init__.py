"""This host: what it has, what it lacks, and its own package managers' way to get that."""
