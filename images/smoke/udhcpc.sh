#!/bin/busybox sh
# shellcheck shell=dash
# Called by udhcpc with what the server gave.
# shellcheck disable=SC2154  # its variables come from udhcpc
case "$1" in
    bound | renew)
        ip addr flush dev "$interface"
        ip addr add "$ip/$mask" dev "$interface"
        [ -z "${mtu:-}" ] || ip link set "$interface" mtu "$mtu"
        if [ -n "${staticroutes:-}" ]; then
            # destination and gateway in turn; where these are given, "router" does not count (RFC 3442)
            # shellcheck disable=SC2086  # they are words
            set -- $staticroutes
            while [ $# -ge 2 ]; do
                if [ "$2" = 0.0.0.0 ]; then ip route add "$1" dev "$interface"; else ip route add "$1" via "$2"; fi
                shift 2
            done
        elif [ -n "${router:-}" ]; then
            ip route add default via "${router%% *}"
        fi
        ;;
esac
