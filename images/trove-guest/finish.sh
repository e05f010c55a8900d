#!/bin/sh
# Turns Debian's packages into the guest: $1 is the root filesystem, the overlay is already in it.
set -eu
root=$1
in_root() { chroot "$root" "$@"; }

# What Debian's trove-guestagent package leaves out (the sudoers entry is in the overlay).
in_root usermod --append --groups docker --shell /bin/sh trove
in_root install -d -o trove -g trove /opt/trove-guestagent /etc/trove/conf.d /var/lib/trove /var/log/trove
rm -f "$root/etc/trove/conf.d/guest_info.conf"   # the package's empty one would look like Trove's
# The agent makes this user when it is missing: two slow commands at each first boot.
in_root groupadd --gid 1001 database
in_root useradd --uid 1001 --gid 1001 --no-create-home --shell /usr/sbin/nologin database

here=$(dirname "$0")
for patch in "$here"/patches/*.patch; do
    in_root patch --fuzz=0 --directory=/usr/lib/python3/dist-packages --strip=1 < "$patch"
done
in_root py3compile -p python3-trove   # the agent may not write there, so it would compile at each start

# Nothing of this build in an instance.
rm -f "$root"/etc/ssh/ssh_host_*
: > "$root/etc/machine-id"
printf 'trove-guest\n' > "$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 trove-guest\n::1 localhost ip6-localhost\n' > "$root/etc/hosts"
chmod 644 "$root/etc/hostname" "$root/etc/hosts"

# Every unit, generator and device event costs 0.1-0.4 s on an emulated processor.
systemctl --root="$root" --quiet enable systemd-networkd.service trove-guestagent.service \
    trove-lab-data-disk.service
grep -v '^#' "$here/masked-units" | xargs systemctl --root="$root" --quiet mask
mkdir -p "$root/etc/systemd/system-generators"
grep -v '^#' "$here/masked-generators" | while read -r name; do
    ln -sf /dev/null "$root/etc/systemd/system-generators/$name"
done
rm -rf "$root"/usr/share/ieee-data "$root"/var/cache/debconf/*-old
