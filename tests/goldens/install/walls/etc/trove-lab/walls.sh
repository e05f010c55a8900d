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
    for interface in lo br-ex trove-mgmt tap+; do
        "$table" -w -A TROVE-LAB -i "$interface" -j RETURN
    done
    "$table" -w -A TROVE-LAB -p tcp --dport 4369 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 5672 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 11211 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 25672 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 6080 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 6640 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 6641 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 6642 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 8775 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 16509 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 5000 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 9292 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 8778 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 8774 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 9696 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 8779 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 8080 -j DROP
    "$table" -w -A TROVE-LAB -p tcp --dport 9080 -j DROP
    "$table" -w -A TROVE-LAB -p udp --dport 6081 -j DROP
    "$table" -w -I INPUT -j TROVE-LAB
done
