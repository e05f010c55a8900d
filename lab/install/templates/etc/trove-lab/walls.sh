#!/bin/bash
# The cloud's ports answer this machine and its guests only, whoever else reaches it. Argument: up or down.
# tap+: where the switch works outside the kernel, the kernel sees a guest's packets too, and may answer its ARP first.
set -euo pipefail
for table in iptables ip6tables; do
    while "$table" -w -D INPUT -j TROVE-LAB 2> /dev/null; do :; done
    "$table" -w -F TROVE-LAB 2> /dev/null || [ "$1" = down ] || "$table" -w -N TROVE-LAB
    if [ "$1" = down ]; then
        "$table" -w -X TROVE-LAB 2> /dev/null || :
        continue
    fi
    for interface in lo br-ex {{ mgmt_interface }} tap+; do
        "$table" -w -A TROVE-LAB -i "$interface" -j RETURN
    done
{%- for port in closed_tcp %}
    "$table" -w -A TROVE-LAB -p tcp --dport {{ port }} -j DROP
{%- endfor %}
{%- for port in closed_udp %}
    "$table" -w -A TROVE-LAB -p udp --dport {{ port }} -j DROP
{%- endfor %}
    "$table" -w -I INPUT -j TROVE-LAB
done
