#!/bin/sh
# Run as: unshare --mount --net --pid --fork --kill-child sh preload.sh ROOT TAG ARCHIVE [TAG ARCHIVE]...
set -eu
root=$1; shift
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
chroot "$root" dockerd --host=unix:///run/preload.sock --exec-root=/run/preload --pidfile=/run/preload.pid \
    --storage-driver=overlay2 --bridge=none --iptables=false --ip6tables=false > "$root/run/dockerd.log" 2>&1 &
daemon=$!
for _ in $(seq 100); do
    chroot "$root" docker --host=unix:///run/preload.sock version > /dev/null 2>&1 && break
    kill -0 $daemon || { cat "$root/run/dockerd.log" >&2; exit 1; }
    sleep 0.1
done
while [ $# -gt 0 ]; do
    chroot "$root" docker --host=unix:///run/preload.sock load < "$2"
    # Trove asks for this very tag, and would go to a registry for it
    chroot "$root" docker --host=unix:///run/preload.sock image inspect "$1" > /dev/null
    shift 2
done
kill $daemon
wait $daemon || true
rm -rf "$root/var/lib/docker/engine-id" "$root"/var/lib/docker/containerd/daemon/tmpmounts
