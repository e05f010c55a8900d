"""DBOD's requirements tried on every provider, and what breaks."""
