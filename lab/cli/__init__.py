"""The command line: what is typed becomes calls, what comes back becomes text."""
