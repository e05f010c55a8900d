#!/bin/bash
# Addresses, routes and NAT of the lab's networks: what Open vSwitch's own database does not bring back at boot.
set -euo pipefail
sysctl -q -w net.ipv4.ip_forward=1
ip link set br-ex up
ip address replace {{ public_gateway }}/{{ public_prefix }} dev br-ex
ip route replace {{ private_cidr }} via {{ router_ip }}
iptables -t nat -C POSTROUTING -s {{ public_cidr }} ! -d {{ public_cidr }} -j MASQUERADE 2>/dev/null \
  || iptables -t nat -A POSTROUTING -s {{ public_cidr }} ! -d {{ public_cidr }} -j MASQUERADE
if ovs-vsctl port-to-br {{ mgmt_interface }} >/dev/null 2>&1; then
  ip link set {{ mgmt_interface }} address {{ mgmt_mac }} mtu {{ tenant_mtu }} up
  ip address replace {{ mgmt_ip }}/{{ mgmt_prefix }} dev {{ mgmt_interface }}
fi
