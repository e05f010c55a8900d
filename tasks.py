"""The checkout's tasks: ``./inv`` runs this file, Invoke finds it; they are written in lab/cli/tasks.py."""

from lab.cli.program import main, ns

__all__ = ["ns"]

if __name__ == "__main__":
    main()
