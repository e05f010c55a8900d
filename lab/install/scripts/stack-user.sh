#!/bin/bash
# Makes a fresh machine one that stack.sh takes: its user, its locale, git. Safe to run again.
set -euo pipefail
id stack >/dev/null 2>&1 || useradd --create-home --home-dir /opt/stack --shell /bin/bash stack
chmod 755 /opt/stack
install -d -o stack -g stack /opt/stack/logs
printf 'stack ALL=(ALL) NOPASSWD: ALL\n' > /etc/sudoers.d/50_stack_sh
chmod 440 /etc/sudoers.d/50_stack_sh
if ! command -v git >/dev/null || ! command -v localedef >/dev/null; then
    apt-get update
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends git locales
fi
# no pipe into grep -q: it may end first, and pipefail would then compile the locale anew, which takes seconds
[[ $(locale -a) == *en_US.utf8* ]] || localedef -i en_US -f UTF-8 en_US.UTF-8
# a mirror belongs to another user than the one who clones from it
git config --system --replace-all safe.directory '*'
if systemd-detect-virt --quiet --container; then
    # no module can be loaded from here, and some of DevStack's calls do not forgive that
    if [ ! -e /usr/sbin/modprobe.kmod ]; then
        dpkg-divert --quiet --local --rename --divert /usr/sbin/modprobe.kmod --add /usr/sbin/modprobe
        printf '#!/bin/sh\nexit 0\n' > /usr/sbin/modprobe
        chmod 755 /usr/sbin/modprobe
    fi
    # its netlink family exists in the first network namespace alone, and DevStack restarts it with every nova-compute
    install -d /etc/systemd/system/iscsid.service.d
    printf '[Service]\nType=oneshot\nPIDFile=\nExecStartPre=\nExecStart=\nExecStart=/bin/true\n' \
        > /etc/systemd/system/iscsid.service.d/trove-lab.conf
fi
systemctl daemon-reload
