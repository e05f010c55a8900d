#!/bin/bash
# Horizon with Trove's panels, from the machine's own apt; what comes with it is written down, and goes with the rest
# from a machine that is not the lab's. Arguments: the unit, the folder of patches, then packages. Standard input: this
# host's proxies, NAME=VALUE a line. Safe to run again.
set -euo pipefail
unit=$1 patches=$2 lab=/var/lib/trove-lab
shift 2
while IFS= read -r proxy; do export "${proxy?}"; done

there() {
    dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | awk '$1 == "ii" { print $2 }' | sort -u > "$1/packages"
    getent passwd | cut -d: -f1 | sort > "$1/users"
    getent group | cut -d: -f1 | sort > "$1/groups"
}

# dpkg knows those too that are half installed, or removed and not purged
installed=$(dpkg-query -W -f '${db:Status-Abbrev}\n' "$@" 2> /dev/null | grep -c '^ii' || :)
if [ "$installed" -lt $# ]; then
    before=$lab/before-dashboard
    [ -d $before ] || { install -d $before.new && there $before.new && mv $before.new $before; }
    # what root's Python writes beside the packages' modules goes with no package
    export PYTHONDONTWRITEBYTECODE=1
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
    [ -e $lab/owner ] || rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
    now=$(mktemp -d)
    there "$now"
    for kind in packages users groups; do comm -13 $before/$kind "$now/$kind" >> $lab/$kind; done
    rm -r "$now" $before
fi

# Upstream faults, each patch with its reason; --fuzz=0: a changed upstream must be looked at again
cd /usr/lib/python3/dist-packages
for patch in "$patches"/*.patch; do
    patch --dry-run --reverse --force --strip=1 --input="$patch" > /dev/null || patch --fuzz=0 --strip=1 --input="$patch"
done
python3 -m compileall -q trove_dashboard openstack_dashboard/local/enabled
systemctl enable --quiet "$unit"
systemctl restart "$unit"
