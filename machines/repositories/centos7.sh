#!/bin/sh
# CentOS 7 past its end (2024-06-30): base, updates and extras from the vault, EPEL 7 from Fedora's archive.
# Run as root on the machine; may be run again.
set -eu

cd /etc/yum.repos.d

# the mirror list that these name is switched off
for repo in CentOS-*.repo; do
    [ -e "$repo" ] || continue
    mv "$repo" "$repo.lab-off"
done

cat >CentOS-Vault-lab.repo <<'REPO'
[base]
name=CentOS 7.9.2009 - Base
baseurl=http://vault.centos.org/7.9.2009/os/$basearch/
gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-CentOS-7

[updates]
name=CentOS 7.9.2009 - Updates
baseurl=http://vault.centos.org/7.9.2009/updates/$basearch/
gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-CentOS-7

[extras]
name=CentOS 7.9.2009 - Extras
baseurl=http://vault.centos.org/7.9.2009/extras/$basearch/
gpgcheck=1
gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-CentOS-7
REPO

yum clean all
# the vault's extras carry EPEL's release package and its key; its addresses then move to the archive
yum -y install epel-release yum-utils
sed -i -E \
    -e 's,^metalink=,#&,' \
    -e 's,^#?baseurl=https?://[^/]+/pub/epel/7/,baseurl=https://archives.fedoraproject.org/pub/archive/epel/7/,' \
    epel.repo
yum makecache
