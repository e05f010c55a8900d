#!/bin/bash
# Open vSwitch's part, kept in its own database: run once, harmless when run again.
set -euo pipefail
ovs-vsctl --no-wait \
  -- set Open_vSwitch . external-ids:system-id=machine external-ids:hostname=machine \
     external-ids:ovn-remote=tcp:127.0.0.1:6642 external-ids:ovn-encap-type=geneve external-ids:ovn-encap-ip=10.99.99.1 \
     external-ids:ovn-bridge-datapath-type=netdev external-ids:ovn-bridge-mappings=public:br-ex \
     external-ids:ovn-cms-options=enable-chassis-as-gw \
  -- --may-exist add-br br-ex -- set Bridge br-ex datapath_type=netdev \
  -- --may-exist add-br br-int -- set Bridge br-int datapath_type=netdev fail-mode=secure
ovs-vsctl --no-wait set-manager ptcp:6640:127.0.0.1
