#!/bin/bash
# What the services stand on: address, switch, database server, message queue. Arguments: the units.
set -euo pipefail
systemctl enable --quiet "$@"
systemctl start "$@"
/etc/trove-lab/switch.sh
