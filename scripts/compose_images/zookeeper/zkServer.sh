#!/bin/bash
# The one verb that the image is started with: `zkServer.sh start-foreground`, and where its settings are.
set -eu
[ "${1:-}" = start-foreground ] || { echo "only start-foreground is known here" >&2; exit 64; }
# shellcheck disable=SC2086 # JVMFLAGS is several words, as in ZooKeeper's own script
exec java ${JVMFLAGS:--Xmx1000m} -Dlogback.configurationFile=/apache-zookeeper/logback.xml -cp "/apache-zookeeper/lib/*" \
  org.apache.zookeeper.server.quorum.QuorumPeerMain "${2:-$ZOO_CONF_DIR/zoo.cfg}"
