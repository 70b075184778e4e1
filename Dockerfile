# One image for the API, the worker and the release jobs, which differ in their command. Uses the current LTS version of Node.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build

FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
# Removes Temporal's native libraries for other platforms, two thirds of their total size.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
 && cd node_modules/@temporalio/core-bridge/releases \
 && find . -mindepth 1 -maxdepth 1 ! -name "$(uname -m)-unknown-linux-gnu" -exec rm -r {} +

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    PRISMA_SCHEMA_ENGINE=wasm \
    SPOOL_DIRECTORY=/var/spool/caly
WORKDIR /app
RUN mkdir -p "$SPOOL_DIRECTORY" && chown node:node "$SPOOL_DIRECTORY"
COPY --from=packages /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json prisma.config.ts ./
COPY prisma prisma
# prisma.config.ts imports this file.
COPY platform/database-url.ts platform/
USER node
EXPOSE 3000 9464
# Node is PID 1, so it receives SIGTERM.
CMD ["node", "--enable-source-maps", "dist/api/main.js"]
