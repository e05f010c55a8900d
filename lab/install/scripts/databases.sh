#!/bin/bash
# Every service's database, schema and first records, side by side. Arguments: region, internal and public URL of
# Keystone; the administrator's password on standard input. Safe to run again.
set -euo pipefail
cd / # stevedore looks into the working folder, which these users may not in root's
region=$1 internal=$2 public=$3
IFS= read -r password || [ -n "$password" ]

as() { runuser -u "$1" -- "${@:2}"; }

keystone() {
    as keystone keystone-manage db_sync
    keystone-manage fernet_setup --keystone-user keystone --keystone-group keystone
    keystone-manage credential_setup --keystone-user keystone --keystone-group keystone
    OS_BOOTSTRAP_PASSWORD=$password keystone-manage bootstrap --bootstrap-username admin \
        --bootstrap-project-name admin --bootstrap-role-name admin --bootstrap-service-name keystone \
        --bootstrap-region-id "$region" --bootstrap-internal-url "$internal" --bootstrap-admin-url "$internal" \
        --bootstrap-public-url "$public"
}
glance() { as glance glance-manage db_sync; }
placement() { as placement placement-manage db sync; }
nova() {
    as nova nova-manage api_db sync
    as nova nova-manage cell_v2 map_cell0
    as nova nova-manage db sync
    # no pipe into grep -q: it may end first, and pipefail would then ask for a second cell1
    [[ $(as nova nova-manage cell_v2 list_cells) == *" cell1 "* ]] || as nova nova-manage cell_v2 create_cell --name=cell1
}
neutron() {
    as neutron neutron-db-manage --config-file /etc/neutron/neutron.conf \
        --config-file /etc/neutron/plugins/ml2/ml2_conf.ini upgrade heads
}
trove() { as trove trove-manage db_sync; }

mariadb < /etc/trove-lab/databases.sql
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
declare -A running
for service in keystone glance placement nova neutron trove; do
    "$service" > "$work/$service" 2>&1 &
    running[$service]=$!
done
failed=
for service in "${!running[@]}"; do
    # each exit code is asked: trove-manage has failed in silence before
    if ! wait "${running[$service]}"; then
        failed="$failed $service"
        echo "--- $service"
        tail -n 30 "$work/$service"
    fi
done
[ -z "$failed" ] || { echo "schema migration failed:$failed"; exit 1; }
