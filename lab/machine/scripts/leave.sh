#!/bin/bash
# Takes away what the lab put on a machine that is not the lab's, by what arrive.sh and the installer wrote down. Packages
# that something else has come to need stay, and are told. Arguments: none. Safe to run again.
set -uo pipefail
lab=/var/lib/trove-lab
[ -e $lab/owner ] || exit 0
have() { command -v "$1" > /dev/null; }
listed() { cat "$@" 2> /dev/null | sort -u; }
installed() { dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | awk '$1 == "ii" { print $2 }' | sort -u; }

# what runs, before the files that it uses
if [ -e $lab/units ]; then
    ! have docker || docker ps --quiet | xargs --no-run-if-empty docker kill > /dev/null
    mapfile -t units < <(while read -r unit; do ! systemctl cat "$unit" > /dev/null 2>&1 || echo "$unit"; done < $lab/units)
    mapfile -t switch < <(printf '%s\n' "${units[@]}" | grep openvswitch)
    mapfile -t others < <(printf '%s\n' "${units[@]}" | grep -v openvswitch)
    systemctl disable --quiet --now "${others[@]}" 2> /dev/null
    if [ ${#switch[@]} -gt 0 ] && systemctl is-active --quiet "${switch[@]}"; then
        for bridge in br-int br-ex; do ovs-vsctl --if-exists --timeout=20 del-br $bridge; done
        systemctl disable --quiet --now "${switch[@]}" 2> /dev/null
    fi
    ip netns list | awk '$1 ~ /^ovnmeta-/ { print $1 }' | while read -r name; do ip netns delete "$name"; done
    for interface in trove-mgmt br-ex br-int ovs-netdev docker0; do ip link delete $interface 2> /dev/null; done
    ip address delete "$(cat $lab/address)" dev lo 2> /dev/null
    [ ! -x /etc/trove-lab/walls.sh ] || /etc/trove-lab/walls.sh down
    nat=$(cat $lab/nat)
    while iptables -t nat -D POSTROUTING -s "$nat" ! -d "$nat" -j MASQUERADE 2> /dev/null; do :; done
    # Docker leaves its chains
    iptables-save 2> /dev/null | grep --invert-match --word-regexp --extended-regexp 'DOCKER(-[A-Z0-9-]+)?' | iptables-restore
fi

# files: new ones go, the others are as they were
listed $lab/masked | while read -r unit; do systemctl unmask --quiet "$unit" 2> /dev/null; done
listed $lab/files | while read -r file; do rm -f "/$file"; done
listed $lab/folders | sort --reverse | while read -r folder; do
    rm -rf "/$folder/__pycache__"
    rmdir "/$folder" 2> /dev/null
done
[ ! -d $lab/before/files ] || (
    cd $lab/before/files || exit
    find . -mindepth 1 ! -type d -printf '%P\0' | while IFS= read -r -d '' file; do cp --archive "$file" "/$file"; done
)

if [ -e $lab/before/packages ]; then
    after=$(if [ -e $lab/packages ]; then listed $lab/packages; else installed; fi)
    mapfile -t ours < <(comm -13 $lab/before/packages <(echo "$after") | comm -12 - <(installed))
    if [ ${#ours[@]} -gt 0 ]; then
        export DEBIAN_FRONTEND=noninteractive
        options=(--quiet --yes -o DPkg::Lock::Timeout=300)
        unneeded=(-o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false)
        apt-mark auto "${ours[@]}" > /dev/null
        mapfile -t gone < <(apt-get --simulate "${unneeded[@]}" autoremove | awk '$1 == "Remv" { print $2 }' | sort -u |
            comm -12 - <(printf '%s\n' "${ours[@]}"))
        # nova-common's own purge fails where another package's has taken this folder
        [ ! -d /etc/nova ] || touch /etc/nova/.trove-lab
        apt-get "${options[@]}" "${unneeded[@]}" purge "${gone[@]}" || exit 4
        stay=$(comm -12 <(printf '%s\n' "${ours[@]}") <(installed))
        [ -z "$stay" ] || printf 'stays, since other packages need it: %s\n' "${stay//$'\n'/ }"
    fi
fi

for folder in /etc /opt /srv /var/cache /var/lib /var/log; do
    [ ! -d $folder ] || find $folder -mindepth 1 -maxdepth 1
done | sort | comm -13 $lab/before/folders - | while read -r path; do
    if [ "$path" = $lab ] || ! grep -qxF "${path##*/}" $lab/names 2> /dev/null; then continue; fi
    findmnt --noheadings --list --output TARGET | grep "^$path/" | sort --reverse | xargs --no-run-if-empty umount
    rm -rf --one-file-system "$path"
done
listed $lab/users | while read -r user; do userdel --force "$user" 2> /dev/null; done
listed $lab/groups | while read -r group; do groupdel "$group" 2> /dev/null; done
sysctl -q -w "net.ipv4.ip_forward=$(cat $lab/before/ip_forward)"
systemctl daemon-reload
systemctl reset-failed
rm -rf $lab
