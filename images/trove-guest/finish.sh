#!/bin/sh
# mmdebstrap customize hook: $1 is the root filesystem, the overlay is already in it.
set -eu
root=$1
in_root() { chroot "$root" "$@"; }

in_root usermod --append --groups docker --shell /bin/sh trove
in_root install -d -o trove -g trove /opt/trove-guestagent /etc/trove/conf.d /var/lib/trove /var/log/trove
rm -f "$root/etc/trove/conf.d/guest_info.conf"   # Debian's empty one would look like Trove's
rm -f "$root"/etc/ssh/ssh_host_*
printf 'trove-guest\n' > "$root/etc/hostname"; chmod 644 "$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 trove-guest\n::1 localhost ip6-localhost\n' > "$root/etc/hosts"
: > "$root/etc/machine-id"

systemctl --root="$root" --quiet enable systemd-networkd.service trove-guestagent.service \
    trove-lab-data-disk.service
systemctl --root="$root" --quiet mask systemd-networkd-wait-online.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    grub-common.service systemd-pstore.service cloud-init-hotplugd.socket
rm -rf "$root"/usr/share/ieee-data "$root"/usr/share/doc/* "$root"/var/cache/debconf/*-old "$root"/usr/lib/udev/hwdb.bin
