#!/bin/bash
# What stack.sh set by hand, as it is now, goes into the script that sets it at each boot; and the machine may ask guests
# by their own addresses. Arguments: none. Safe to run again.
set -euo pipefail
install -d /etc/trove-lab
{
    printf '#!/bin/bash\nset -euo pipefail\nsysctl -q -w net.ipv4.ip_forward=1\n'
    for interface in br-ex trove-mgmt; do
        [ -e "/sys/class/net/$interface" ] || continue
        echo "ip link set $interface address $(cat "/sys/class/net/$interface/address") mtu $(cat "/sys/class/net/$interface/mtu") up"
        ip -o -4 address show dev "$interface" | awk -v dev="$interface" '{ print "ip address replace " $4 " dev " dev }'
    done
    ip -4 route show | awk '$2 == "via" && $5 == "br-ex" { print "ip route replace " $1 " via " $3 }'
    iptables -t nat -S POSTROUTING | awk '/^-A/ && /MASQUERADE/ {
        rule = substr($0, 4)
        print "iptables -t nat -C " rule " 2>/dev/null || iptables -t nat -A " rule
    }'
} > /etc/trove-lab/network.sh
chmod 755 /etc/trove-lab/network.sh
systemctl enable --quiet trove-lab-network trove-lab-address

# OVN 23.03, Debian 12's, gives the router's address also to a guest's answers, and who asked does not know them
machine=$(ip -o -4 address show dev br-ex | awk '{ sub("/.*", "", $4); print $4 }')
exempted=$(ovn-nbctl --bare --columns=_uuid find address_set name=lab_machine)
[ -n "$exempted" ] || exempted=$(ovn-nbctl create address_set name=lab_machine "addresses=$machine")
rules=$(ovn-nbctl --bare --columns=_uuid find nat type=snat)
for rule in $rules; do
    ovn-nbctl set nat "$rule" "exempted_ext_ips=$exempted"
done
