#!/bin/sh
# Prints every secret that the services need as KEY=value lines, made anew: for docker-compose.yml, or for a Kubernetes Secret.
#   deploy/make-secrets.sh > .env                              (PUBLIC_URL=https://… before it, where people find it)
#   POSTGRES=admin:password@db:5432/worktide CLICKHOUSE=http://admin:password@clickhouse:8123/worktide \
#     EVENT_LOG=kafka://kafka:9092 KEY_VALUE=redis://redis:6379 OBJECT_STORE='s3://bucket?region=eu-central-1' \
#     deploy/make-secrets.sh kubernetes > worktide.env
# A character of a password that is not a letter or a digit is written %XX in a URL.
set -eu
umask 077
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

case "${1:-compose}" in
compose)
  postgres_password=$(random) clickhouse_password=$(random) redis_password=$(random) s3_key=worktide s3_secret=$(random)
  cat <<END
# Made by deploy/make-secrets.sh. Keep it: the engines were given these passwords when they were first started.
POSTGRES_PASSWORD=$postgres_password
CLICKHOUSE_PASSWORD=$clickhouse_password
REDIS_PASSWORD=$redis_password
S3_ACCESS_KEY=$s3_key
S3_SECRET_KEY=$s3_secret
END
  POSTGRES=postgres:$postgres_password@postgres:5432/worktide
  CLICKHOUSE=http://default:$clickhouse_password@clickhouse:8123/worktide
  EVENT_LOG=kafka://kafka:9092
  KEY_VALUE=redis://:$redis_password@redis:6379
  # Browsers and agents follow its links, which lead through the ingress.
  PUBLIC_URL=${PUBLIC_URL:-http://localhost:8080}
  OBJECT_STORE="s3://$s3_key:$s3_secret@objects?endpoint=http://s3:8333&region=us-east-1&pathStyle=true&publicEndpoint=$PUBLIC_URL"
  echo "PUBLIC_URL=$PUBLIC_URL"
  ;;
kubernetes)
  : "${POSTGRES:?the administrator of PostgreSQL, as user:password@host:port/database}"
  : "${CLICKHOUSE:?ClickHouse as http[s]://user:password@host:port/database}"
  : "${EVENT_LOG:?Kafka as kafka[s]://[user:password@]host:port,host:port}"
  : "${KEY_VALUE:?Redis as redis[s]://[:password@]host:port}"
  : "${OBJECT_STORE:?S3 as s3://key:secret@bucket?endpoint=…&region=…}"
  ;;
*)
  echo "usage: $0 [compose | kubernetes]" >&2
  exit 2
  ;;
esac

place=${POSTGRES##*@}
# Compose reads quotes as a shell does, `kubectl create secret --from-env-file` takes them for a part of the value.
[ "${1:-compose}" = compose ] && OBJECT_STORE="'$OBJECT_STORE'"
cat <<END
ADMIN_POSTGRES_URL=postgres://$POSTGRES
AUTH_POSTGRES_URL=postgres://worktide_auth:$(random)@$place
SESSION_WRITER_POSTGRES_URL=postgres://worktide_session_writer:$(random)@$place
WORKSPACE_POSTGRES_URL=postgres://worktide_workspace:$(random)@$place
SCREENSHOT_PROCESSOR_POSTGRES_URL=postgres://worktide_screenshot_processor:$(random)@$place
ANALYTICS_POSTGRES_URL=postgres://worktide_analytics:$(random)@$place
REALTIME_POSTGRES_URL=postgres://worktide_realtime:$(random)@$place
AGENT_PROTOCOLS_POSTGRES_URL=postgres://worktide_agent_protocols:$(random)@$place
CLICKHOUSE_URL=$CLICKHOUSE
EVENT_LOG_URL=$EVENT_LOG
KEY_VALUE_URL=$KEY_VALUE
OBJECT_STORE_URL=$OBJECT_STORE
INTERNAL_TOKEN=$(random)
WEBHOOK_SECRETS_KEY=$(random)
END
