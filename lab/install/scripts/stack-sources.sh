#!/bin/bash
# DevStack itself at its ref, and its local.conf. Arguments: URL, ref; then commands for the stack user in its folder.
set -euo pipefail
url=$1 ref=$2
shift 2
for folder in /opt/stack/userspace-ovs /opt/stack/novadriver; do
    [ ! -d $folder ] || chown -R stack:stack $folder
done
if [ -d /opt/stack/userspace-ovs ]; then
    # DevStack takes plugins from git only
    cd /opt/stack/userspace-ovs
    rm -rf .git
    runuser -u stack -- git init --quiet --initial-branch=main
    runuser -u stack -- git add --all
    runuser -u stack -- git -c user.name=lab -c user.email=lab@localhost commit --quiet --message='the plugin'
fi
install -d -o stack -g stack /opt/stack/devstack
cd /opt/stack/devstack
[ -d .git ] || runuser -u stack -- git init --quiet
runuser -u stack -- git fetch --quiet --depth=1 "$url" "$ref"
runuser -u stack -- git checkout --quiet --force FETCH_HEAD
install -o stack -g stack -m 0600 /etc/trove-lab/local.conf local.conf
for command in "$@"; do
    runuser -u stack -- bash -euc "$command"
done
