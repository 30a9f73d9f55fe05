#!/bin/sh
# Options alone mean redis-server; it never runs as root, and listens beyond loopback as the official image does.
set -e
case "${1:-}" in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ]; then
  set -- "$@" --protected-mode no
  if [ "$(id -u)" = 0 ]; then
    chown redis /data
    exec gosu redis "$@"
  fi
fi
exec "$@"
