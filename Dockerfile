# syntax=docker/dockerfile:1

FROM node:20-bookworm-slim AS build
WORKDIR /city
COPY package.json package-lock.json ./
# The compilers' platform binaries are optional dependencies.
RUN npm ci
COPY tsconfig.json tsconfig.build.json vite.config.ts ./
COPY src src
COPY migrations migrations
COPY seeds seeds
COPY web web
RUN npm run build

FROM node:20-bookworm-slim AS dependencies
WORKDIR /city
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional

FROM node:20-bookworm-slim
ENV NODE_ENV=production
WORKDIR /city
COPY --from=dependencies /city/node_modules node_modules
COPY --from=build /city/dist dist
COPY package.json ./
USER node
EXPOSE 7001 7091
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["node", "dist/src/healthcheck.js"]
CMD ["node", "dist/src/main.js"]
