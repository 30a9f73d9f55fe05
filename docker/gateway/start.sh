#!/bin/sh
# Starts HAProxy with haproxy.cfg, and gives it TRUSTED_PROXIES, a list with commas, as a file with a line for each.
# Run inside the gateway container.
set -eu
printf '%s' "$TRUSTED_PROXIES" | tr ',' '\n' | tr -d ' ' > /tmp/trusted_proxies
exec haproxy -W -db -f /opt/polling/haproxy.cfg
