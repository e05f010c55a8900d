"""Load on databases."""
