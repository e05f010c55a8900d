#!/bin/sh
# Run as: unshare --mount --net --pid --fork --kill-child sh preload.sh ROOT ARCHIVE...
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
for archive; do chroot "$root" docker --host=unix:///run/preload.sock load < "$archive"; done
chroot "$root" docker --host=unix:///run/preload.sock image ls
kill $daemon
wait $daemon || true
rm -rf "$root/var/lib/docker/engine-id" "$root"/var/lib/docker/containerd/daemon/tmpmounts
