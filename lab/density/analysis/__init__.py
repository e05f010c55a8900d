"""From raw rows to figures."""
