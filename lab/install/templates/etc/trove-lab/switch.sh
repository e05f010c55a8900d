#!/bin/bash
# Open vSwitch's part, kept in its own database: run once, harmless when run again.
set -euo pipefail
ovs-vsctl --no-wait \
  -- set Open_vSwitch . external-ids:system-id={{ host_name }} external-ids:hostname={{ host_name }} \
     external-ids:ovn-remote=tcp:127.0.0.1:6642 external-ids:ovn-encap-type=geneve external-ids:ovn-encap-ip={{ host_ip }} \
     external-ids:ovn-bridge-datapath-type={{ datapath }} external-ids:ovn-bridge-mappings=public:br-ex \
     external-ids:ovn-cms-options=enable-chassis-as-gw \
  -- --may-exist add-br br-ex -- set Bridge br-ex datapath_type={{ datapath }} \
  -- --may-exist add-br br-int -- set Bridge br-int datapath_type={{ datapath }} fail-mode=secure
ovs-vsctl --no-wait set-manager ptcp:6640:127.0.0.1
