# shellcheck shell=bash
# A DevStack plugin for kernels without openvswitch: OVN makes br-int with the datapath that
# external-ids:ovn-bridge-datapath-type names, and OVS_DATAPATH_TYPE never gets there. The setting must stand before
# OVN starts, so DevStack's own _start_ovs (lib/neutron_plugins/ovn_agent) is wrapped; no file of DevStack is changed.
if [[ "$1" == "stack" && "$2" == "pre-install" ]]; then
    eval "lab_devstack$(declare -f _start_ovs)"
    function _start_ovs {
        lab_devstack_start_ovs
        sudo ovs-vsctl --no-wait set open_vswitch . external-ids:ovn-bridge-datapath-type=netdev
    }
fi
