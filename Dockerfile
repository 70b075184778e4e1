# Two images: `runtime` (the default) for the API, the worker and commands, and `release` for migrations. The current LTS version of Node.
#   docker build -t caly-backend .
#   docker build -t caly-backend-release --target release .
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build

FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
COPY deploy/image/prune-packages.mjs /tmp/

FROM packages AS release-packages
RUN node /tmp/prune-packages.mjs release

FROM packages AS runtime-packages
RUN node /tmp/prune-packages.mjs runtime

FROM node:24-bookworm-slim AS release
ENV NODE_ENV=production \
    PRISMA_SCHEMA_ENGINE=wasm
WORKDIR /app
COPY --from=release-packages /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json prisma.config.ts ./
COPY prisma prisma
# prisma.config.ts imports this file.
COPY platform/database-url.ts platform/
USER node
CMD ["node", "dist/cli/migrate.js"]

FROM node:24-bookworm-slim AS runtime
ENV NODE_ENV=production \
    SPOOL_DIRECTORY=/var/spool/caly
WORKDIR /app
RUN mkdir -p "$SPOOL_DIRECTORY" && chown node:node "$SPOOL_DIRECTORY"
COPY --from=runtime-packages /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json ./
USER node
EXPOSE 3000 9464
# Node is PID 1, so it receives SIGTERM.
CMD ["node", "--enable-source-maps", "dist/api/main.js"]
