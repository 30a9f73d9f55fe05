#!/bin/sh
# Registers the database of .env in pgAdmin, password included, and goes on to the image's own entrypoint.
# Run inside the pgAdmin container. The server is registered at its first start; the password follows .env at each.
set -eu
umask 077

json() { printf '%s' "$1" | sed 's/[\\"]/\\&/g'; }
pgpass() { printf '%s' "$1" | sed 's/[\\:]/\\&/g'; }

cat > /tmp/servers.json <<EOF
{
  "Servers": {
    "1": {
      "Name": "Polling",
      "Group": "Servers",
      "Host": "$(json "$DB_HOST")",
      "Port": $DB_PORT,
      "MaintenanceDB": "$(json "$DB_NAME")",
      "Username": "$(json "$DB_USER")",
      "ConnectionParameters": {"sslmode": "prefer", "connect_timeout": 10, "passfile": "/.pgpass"}
    }
  }
}
EOF
export PGADMIN_SERVER_JSON_FILE=/tmp/servers.json

# The place where pgAdmin looks for a passfile of this account's.
storage=/var/lib/pgadmin/storage/$(printf '%s' "$PGADMIN_DEFAULT_EMAIL" | sed 's/@/_/')
mkdir -p "$storage"
printf '%s:%s:*:%s:%s\n' "$(pgpass "$DB_HOST")" "$DB_PORT" "$(pgpass "$DB_USER")" "$(pgpass "$DB_PASSWORD")" \
  > "$storage/.pgpass"

exec /entrypoint.sh
