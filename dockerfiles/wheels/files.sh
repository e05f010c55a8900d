#!/bin/sh
# What Debian's packages of OpenStack bring beside the code, and wheels do not: users, folders, commands in the path,
# files under /etc. Argument: the virtual environment.
set -eu
venv=$1
here=$(cd "$(dirname "$0")" && pwd)
install -m 0644 "$here/users.conf" /usr/lib/sysusers.d/trove-lab.conf
install -m 0644 "$here/folders.conf" /usr/lib/tmpfiles.d/trove-lab.conf
install -m 0440 "$here/sudoers" /etc/sudoers.d/trove-lab
visudo --check --quiet
systemd-sysusers trove-lab.conf
systemd-tmpfiles --create trove-lab.conf

# wheels put these below the environment, where nothing looks for them
for service in glance keystone neutron nova placement swift trove; do
    [ ! -d "$venv/etc/$service" ] || cp -r --no-preserve=all "$venv/etc/$service/." "/etc/$service"
done
for command in "$venv"/bin/*; do
    case ${command##*/} in
        glance-* | keystone-* | neutron-* | nova-* | openstack | placement-* | privsep-helper | swift-* | trove-*)
            ln -s "$command" /usr/local/bin/ ;;
    esac
done
# Python's modules of libvirt exist as Debian's package only, for the same Python
ln -s /usr/lib/python3/dist-packages/libvirt*.py /usr/lib/python3/dist-packages/libvirt*.so \
    "$venv/lib/python3.x/site-packages/"
"$venv/bin/python" -c 'import libvirt, nova.virt.libvirt.driver'
