"""The host around databases under measure: its figures, its cgroups, its load."""
