#!/bin/bash
# What the official entrypoint does where /conf/zoo.cfg exists: own the data folders, leave root, write myid.
set -e
if [ "$1" = zkServer.sh ] && [ "$(id -u)" = 0 ]; then
  chown -R zookeeper "$ZOO_DATA_DIR" "$ZOO_DATA_LOG_DIR" "$ZOO_LOG_DIR"
  exec gosu zookeeper "$0" "$@"
fi
[ -f "$ZOO_CONF_DIR/zoo.cfg" ] || { echo "this image needs /conf/zoo.cfg" >&2; exit 1; }
[ -f "$ZOO_DATA_DIR/myid" ] || echo "${ZOO_MY_ID:-1}" > "$ZOO_DATA_DIR/myid"
exec "$@"
