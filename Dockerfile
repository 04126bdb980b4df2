# One image for every service and command: `docker run … worktide services/auth/src/main.ts`, `… tools/prepare/src/main.ts all`.
# Digests cannot be looked up where there is no registry: pin yours with --build-arg BASE=docker.io/library/node@sha256:….
ARG BASE=docker.io/library/node:24-bookworm-slim

FROM ${BASE} AS pages
WORKDIR /app
COPY package.json package-lock.json ./
COPY tools/preinstall.mjs tools/
COPY tsconfig.base.json ./
COPY apps apps
RUN npm ci --omit=dev --no-audit --no-fund --include-workspace-root=false -w apps/dashboard \
 && node apps/dashboard/build/main.ts --to /pages

FROM ${BASE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
COPY tools/preinstall.mjs tools/
COPY libs libs
COPY services services
COPY tools/prepare tools/prepare
COPY tools/dead-letters tools/dead-letters
COPY tools/fleet tools/fleet
# The workspaces that run here: what embeds engines (chdb, PostgreSQL) belongs to `npm start` and stays out. lmdb is one of event-log's.
RUN npm ci --omit=dev --no-audit --no-fund --include-workspace-root=false \
      -w services/auth -w services/workspace -w services/ingest-gateway -w services/session-writer -w services/screenshot-processor \
      -w services/analytics -w services/realtime -w services/agent-protocols -w services/dashboard -w tools/prepare -w tools/dead-letters -w tools/fleet \
 && find libs services tools -name '*.test.ts' -delete \
 && find node_modules -name '*.map' -delete

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Worktide" \
      org.opencontainers.image.description="Work-time tracking for fleets of desktop agents." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production \
    PORT=8080 \
    METRICS_PORT=9090 \
    DRAIN_SECONDS=5 \
    # Of the memory that the container may have. Node's own guess is half of a small limit, and more than a smaller one.
    NODE_OPTIONS="--max-old-space-size-percentage=65 --max-semi-space-size=16" \
    MALLOC_ARENA_MAX=2
WORKDIR /app
COPY --from=dependencies /app ./
COPY --from=pages /pages apps/dashboard/dist
# Any user does: nothing is written but what a volume takes.
USER 1000:1000
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
# Of this very container, by IPv4: `localhost` is IPv6 first.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:'+(process.env.PORT||8080)+'/health/live').then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
ENTRYPOINT ["node"]
CMD ["services/ingest-gateway/src/main.ts"]
