"""Many database servers on one host as containers, a port each: DBOD's own model."""
