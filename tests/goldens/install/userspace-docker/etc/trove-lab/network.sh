#!/bin/bash
# Addresses, routes and NAT of the lab's networks: what Open vSwitch's own database does not bring back at boot.
set -euo pipefail
sysctl -q -w net.ipv4.ip_forward=1
ip link set br-ex up
ip address replace 172.24.4.1/24 dev br-ex
ip route replace 10.10.0.0/24 via 172.24.4.10
iptables -t nat -C POSTROUTING -s 172.24.4.0/24 ! -d 172.24.4.0/24 -j MASQUERADE 2>/dev/null \
  || iptables -t nat -A POSTROUTING -s 172.24.4.0/24 ! -d 172.24.4.0/24 -j MASQUERADE
if ovs-vsctl port-to-br trove-mgmt >/dev/null 2>&1; then
  ip link set trove-mgmt address fa:16:3e:fe:00:01 mtu 1442 up
  ip address replace 192.168.254.1/24 dev trove-mgmt
fi
