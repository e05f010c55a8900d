#!/bin/sh
# Arguments as in the official image: options are postgres', another word is a command.
# POSTGRES_PASSWORD (POSTGRES_PASSWORD_FILE: a file with it) is the superuser's, POSTGRES_USER or postgres, made when
# PGDATA is empty.
set -eu
umask 077

case "${1:-}" in "" | -*) set -- postgres "$@" ;; esac
[ "$1" = postgres ] || exec "$@"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    [ -z "${POSTGRES_PASSWORD_FILE:-}" ] || POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
        echo "entrypoint: the data directory is empty and POSTGRES_PASSWORD is not set" >&2
        exit 1
    fi
    mkdir -p "$PGDATA"
    password=/dev/shm/password
    printf '%s\n' "$POSTGRES_PASSWORD" > "$password"
    # initdb writes PG_VERSION first and cleans up after a failure of its own, not after SIGKILL:
    # build in a folder of it (Trove gives its parent to root) and move out.
    seed="$PGDATA/partial"
    rm -rf "$seed"
    initdb --pgdata="$seed" --username="${POSTGRES_USER:-postgres}" --pwfile="$password" --encoding=UTF8 --locale=en_US.utf8 \
        --auth-local=trust --auth-host=scram-sha-256 --no-sync > /dev/null
    rm -f "$password"
    printf 'host all all all scram-sha-256\n' >> "$seed/pg_hba.conf"
    printf "listen_addresses = '*'\n" >> "$seed/postgresql.conf"
    for item in "$seed"/*; do
        case "$item" in */PG_VERSION) ;; *) mv "$item" "$PGDATA/" ;; esac
    done
    mv "$seed/PG_VERSION" "$PGDATA/"
    rmdir "$seed"
fi
# Trove makes the folder of a restored backup for all to read, which PostgreSQL refuses; the official image does this too.
chmod 0700 "$PGDATA"
exec "$@"
