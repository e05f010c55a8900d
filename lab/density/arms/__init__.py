"""The ways to have N databases on this host."""
