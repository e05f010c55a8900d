#!/bin/sh
# Ubuntu past its end: package sources to where they live today. Run as root on the machine; may be run again.
# An LTS release usually stays on archive.ubuntu.com under extended maintenance, and moves to old-releases after.
set -eu

codename=$(lsb_release -cs)

answers() {
    release=http://$1/ubuntu/dists/$codename/Release
    if command -v wget >/dev/null; then wget -q --spider "$release"; else curl -fsIo /dev/null "$release"; fi
}

if answers archive.ubuntu.com; then
    host=archive.ubuntu.com
elif answers old-releases.ubuntu.com; then
    host=old-releases.ubuntu.com
else
    echo "neither archive.ubuntu.com nor old-releases.ubuntu.com has $codename, or there is no way out" >&2
    exit 1
fi

# country and cloud mirrors (us.archive., security.) drop old releases first
sed -i -E "s,https?://([a-z0-9.-]+\.)?(archive|security|old-releases)\.ubuntu\.com/ubuntu,http://$host/ubuntu,g" /etc/apt/sources.list
apt-get update
