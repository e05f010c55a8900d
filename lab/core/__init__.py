"""What every part stands on: errors, programs, SSH, waits, state, steps. Knows nothing of OpenStack."""
