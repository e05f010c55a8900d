#!/bin/bash
# What stack.sh would ask apt for, from files, where no archive answers. Argument: their folder. Safe to run again.
set -euo pipefail
shopt -s nullglob
packages=("$1"/*.deb)
[ ${#packages[@]} -eq 0 ] || DEBIAN_FRONTEND=noninteractive apt-get install -y "${packages[@]}"
