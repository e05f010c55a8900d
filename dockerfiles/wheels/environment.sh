#!/bin/sh
# A virtual environment with the packages of a lock. Arguments: where, and the lock.
set -eu
where=$1 lock=$2
apt-get update
apt-get install -y --no-install-recommends python3-venv
python3 -m venv "$where"
# two of them are no wheels on PyPI; they need setuptools, and no compiler
"$where/bin/pip" install --quiet --no-deps --no-compile --require-hashes -r "$lock"
# a service's name in it, whatever the distribution's version of Python
ln -s "$(basename "$where"/lib/python3.*)" "$where/lib/python3.x"
cd "$where/lib/python3.x/site-packages"
# half of what the wheels hold
rm -rf glance/tests keystone/tests neutron/tests neutron_lib/tests nova/tests placement/tests swift/test trove/tests
# services may not write here, so they would compile at each start
"$where/bin/python" -m compileall -q -j 0 . || true
