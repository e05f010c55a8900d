#!/bin/sh
# The smoke guest's root file system from an unpacked one. Arguments: the unpacked tree, the tree to make.
set -eu
full=$1 small=$2
chroot "$full" depmod "$(basename "$full"/lib/modules/*)"
mkdir -p "$small/boot" "$small/bin" "$small/sbin" "$small/etc" "$small/www" \
    "$small/dev" "$small/proc" "$small/sys" "$small/tmp"
cp "$full"/boot/vmlinuz-* "$small/boot/"
cp "$full/usr/bin/busybox" "$small/bin/busybox"
here=$(dirname "$0")
install -m 0755 "$here/init" "$small/sbin/init"
install -m 0755 "$here/udhcpc.sh" "$small/etc/udhcpc.sh"
