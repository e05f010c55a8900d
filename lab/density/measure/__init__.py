"""Measuring: trials in blocks, memory ladders, searches, and the host around them."""
