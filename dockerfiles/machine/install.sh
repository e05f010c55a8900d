#!/bin/sh
# OpenStack from Debian's packages, in an image or on a machine that was there; nothing of it starts meanwhile.
# Arguments: files with names of packages. Safe to run again.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

if [ -e /usr/sbin/policy-rc.d ]; then mv /usr/sbin/policy-rc.d /usr/sbin/policy-rc.d.before; fi
trap 'rm -f /usr/sbin/policy-rc.d; [ ! -e /usr/sbin/policy-rc.d.before ] || mv /usr/sbin/policy-rc.d.before /usr/sbin/policy-rc.d' EXIT
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get update
# shellcheck disable=SC2046 # the files hold words
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(cat "$@")

# Upstream faults, each patch with its reference; --fuzz=0: a changed upstream must be looked at again
cd /usr/lib/python3/dist-packages
for patch in "$here"/patches/*.patch; do
    patch --dry-run --reverse --force --strip=1 --input="$patch" > /dev/null || patch --fuzz=0 --strip=1 --input="$patch"
done
python3 -m compileall -q trove oslo_messaging/_drivers stevedore

# The lab enables what it has configured; until then nothing starts at boot
systemctl disable mariadb rabbitmq-server memcached keystone glance-api placement-api \
    nova-api nova-api-metadata nova-conductor nova-scheduler nova-compute \
    neutron-api neutron-ovn-maintenance-worker \
    neutron-ovn-metadata-agent ovn-central ovn-host openvswitch-switch \
    docker docker.socket containerd libvirtd libvirtd.socket libvirt-guests virtlogd trove-api trove-taskmanager trove-conductor epmd
systemctl mask open-iscsi iscsid haproxy e2scrub_reap
