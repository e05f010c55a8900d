"""Database engines: what differs between them, and the one way to connect."""
