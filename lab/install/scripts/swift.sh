#!/bin/bash
# The object store's rings: one device, one copy. Argument: the Python that has Swift. Safe to run again.
set -euo pipefail
python=$1
cd /etc/swift
install -d -o swift -g swift /srv/node /srv/node/d1
declare -A ports=([object]=6200 [container]=6201 [account]=6202)
for ring in "${!ports[@]}"; do
    [ ! -e "$ring.ring.gz" ] || continue
    rm -f "$ring.builder"
    "$python" -m swift.cli.ringbuilder "$ring.builder" create 8 1 1
    "$python" -m swift.cli.ringbuilder "$ring.builder" add "r1z1-127.0.0.1:${ports[$ring]}/d1" 1
    "$python" -m swift.cli.ringbuilder "$ring.builder" rebalance
done
