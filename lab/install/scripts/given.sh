#!/bin/bash
# OpenStack's packages on a machine that was there before the lab; what came with them is written down. Arguments: the
# folder with install.sh, then files with names of packages. Safe to run again.
set -euo pipefail
sources=$1 lab=/var/lib/trove-lab
shift
sh "$sources/install.sh" "$@"
dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | awk '$1 == "ii" { print $2 }' | sort -u > $lab/packages
getent passwd | cut -d: -f1 | sort | comm -13 $lab/before/passwd - > $lab/users
getent group | cut -d: -f1 | sort | comm -13 $lab/before/group - > $lab/groups
