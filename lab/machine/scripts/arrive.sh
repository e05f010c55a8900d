#!/bin/bash
# First contact with a machine that is not the lab's: writes down what is there, so that leave.sh can take away what came
# after. Arguments: whose it is now. Standard output: facts, one a line. Safe to run again.
set -euo pipefail
lab=/var/lib/trove-lab
if [ -e $lab/owner ] && [ "$(cat $lab/owner)" != "$1" ]; then
    echo "owner $(cat $lab/owner)"
    exit 0
fi
# shellcheck source=/dev/null
. /etc/os-release
echo "system $ID$VERSION_ID"
echo "init $(cat /proc/1/comm)"
echo "memory $(awk '/^MemTotal:/ { print int($2 / 1048576 + 0.5) }' /proc/meminfo)"
[ ! -c /dev/kvm ] || echo "kvm there"
[ ! -e $lab/owner ] || exit 0
install -d -m 0755 $lab
install -d -m 0700 $lab/before
for kind in passwd group; do getent $kind | cut -d: -f1 | sort > $lab/before/$kind; done
for folder in /etc /opt /srv /var/cache /var/lib /var/log; do
    [ ! -d $folder ] || find $folder -mindepth 1 -maxdepth 1
done | sort > $lab/before/folders
if command -v dpkg-query > /dev/null; then
    dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | awk '$1 == "ii" { print $2 }' | sort -u > $lab/before/packages
fi
find /etc /usr/local ! -type d | cut -c2- > $lab/before/paths
sysctl -n net.ipv4.ip_forward > $lab/before/ip_forward
echo "$1" > $lab/owner
