"""What README claims about speed, runnable: `python -m benchmarks.NAME`."""
