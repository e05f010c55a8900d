"""OpenStack from PyPI: any release that has a lock, in one virtual environment."""
