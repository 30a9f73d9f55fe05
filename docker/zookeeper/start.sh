#!/bin/sh
# One node of an ensemble: its settings are zookeeper.properties as it stands, and below it where the nodes are.
# Run inside the ZooKeeper container. ENSEMBLE has a word for each node, host name and number: "zookeeper=1 …".
# (The image makes nothing of ZOO_SERVERS where a zoo.cfg is mounted; ZOO_MY_ID it writes to the data's myid.)
set -eu
settings=/tmp/ensemble.cfg
{
  cat /conf/zoo.cfg
  # A container's own name may be an address that it has lost when it comes back.
  printf '\nquorumListenOnAllIPs=true\n'
  for node in $ENSEMBLE; do
    echo "server.${node#*=}=${node%=*}:2888:3888"
  done
} > "$settings"
exec /docker-entrypoint.sh zkServer.sh start-foreground "$settings"
