#!/bin/bash
# Enable and start the cloud's services; they wait for one another themselves. Arguments: the units.
set -euo pipefail
systemctl enable --quiet "$@"
systemctl reset-failed
systemctl start --no-block "$@"
