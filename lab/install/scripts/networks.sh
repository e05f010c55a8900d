#!/bin/bash
# The machine's own leg in Trove's management network, then the services that learn networks from their files.
# Arguments: interface, Neutron port, MAC address.
set -euo pipefail
ovs-vsctl --may-exist add-port br-int "$1" -- set Interface "$1" type=internal \
    external-ids:iface-id="$2" external-ids:iface-status=active external-ids:attached-mac="$3"
systemctl restart trove-lab-network
systemctl restart trove-api trove-taskmanager trove-conductor
