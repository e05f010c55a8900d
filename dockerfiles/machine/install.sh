#!/bin/sh
# A cloud's packages of Debian, in an image or on a machine that was there; nothing of them starts meanwhile.
# Arguments: files with names of packages; "units" beside this has the names of theirs. LIBRARY: the folder
# with OpenStack's code, if not Debian's. Safe to run again.
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
cd "${LIBRARY:-/usr/lib/python3/dist-packages}"
for patch in "$here"/patches/*.patch; do
    patch --dry-run --reverse --force --strip=1 --input="$patch" > /dev/null || patch --fuzz=0 --strip=1 --input="$patch"
done
python3 -m compileall -q trove oslo_messaging/_drivers stevedore

# The lab enables what it has configured; until then nothing starts at boot
# shellcheck disable=SC2046
systemctl disable $(cat "$here/units")
systemctl mask open-iscsi iscsid haproxy e2scrub_reap
