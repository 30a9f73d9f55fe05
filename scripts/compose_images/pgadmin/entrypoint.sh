#!/bin/bash
# The image's way: PGADMIN_CONFIG_* into config_distro.py; at the first start the account, its servers and passfile.
set -eu
if [ ! -s /pgadmin4/config_distro.py ]; then
  echo "LOG_FILE = '/dev/null'" > /pgadmin4/config_distro.py
  env | sed -n 's/^PGADMIN_CONFIG_\([A-Z_]*\)=\(.*\)/\1 = \2/p' >> /pgadmin4/config_distro.py
fi
if [ ! -f /var/lib/pgadmin/pgadmin4.db ]; then
  : "${PGADMIN_DEFAULT_EMAIL:?must be set}" "${PGADMIN_DEFAULT_PASSWORD:?must be set}"
  rules="{'CHECK_EMAIL_DELIVERABILITY': False, 'ALLOW_SPECIAL_EMAIL_DOMAINS': [], 'GLOBALLY_DELIVERABLE': True}"
  valid=$(cd pgadmin/utils && /venv/bin/python -c \
    "import sys, validation_utils as v; print(v.validate_email(sys.argv[1], $rules))" "$PGADMIN_DEFAULT_EMAIL")
  [ "$valid" = True ] || { echo "'$PGADMIN_DEFAULT_EMAIL' is no valid address" >&2; exit 1; }
  export PGADMIN_SETUP_EMAIL="$PGADMIN_DEFAULT_EMAIL" PGADMIN_SETUP_PASSWORD="$PGADMIN_DEFAULT_PASSWORD"
  /venv/bin/python run_pgadmin.py
  servers=${PGADMIN_SERVER_JSON_FILE:-/pgadmin4/servers.json}
  if [ -f "$servers" ]; then
    /venv/bin/python setup.py load-servers "$servers" --user "$PGADMIN_DEFAULT_EMAIL"
  fi
  if [ -f "${PGPASS_FILE:-}" ]; then
    folder=/var/lib/pgadmin/storage/${PGADMIN_DEFAULT_EMAIL/@/_}
    mkdir -p "$folder"
    install -m 600 "$PGPASS_FILE" "$folder/.pgpass"
  fi
fi
exec /venv/bin/gunicorn --timeout 86400 --workers 1 --threads 25 --access-logfile - \
  --bind "${PGADMIN_LISTEN_ADDRESS:-[::]}:${PGADMIN_LISTEN_PORT:-80}" run_pgadmin:app
