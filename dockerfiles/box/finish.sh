#!/bin/sh
# $1 is the exported tree: what Docker lays over an image's own files, and what would look like a container.
set -eu
root=$1
rm -f "$root/.dockerenv"
printf 'machine\n' > "$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 machine\n::1 localhost ip6-localhost\n' > "$root/etc/hosts"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
: > "$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_* "$root/usr/local/sbin/lab-init"
