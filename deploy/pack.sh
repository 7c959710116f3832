#!/bin/sh
# Packs a gateway for machines without compiler, npm and a way to a registry: program, production dependencies, docs.
#
#     npm ci && sh deploy/pack.sh [ARCHITECTURE] [FOLDER]
#
# Writes sprawl-edge-VERSION-linux-ARCHITECTURE.tar.gz to FOLDER (default: where it is called). ARCHITECTURE is arm64 (the default) or x64.
set -eu
arch=${1:-arm64}
into=$(cd "${2:-.}" && pwd)
case $arch in arm64 | x64) ;; *) echo "pack.sh: $arch: there is arm64 and x64" >&2 && exit 2 ;; esac
cd "$(dirname "$0")/.."
[ -f dist/lib/cli/main.js ] || { echo 'pack.sh: nothing is compiled yet: run "npm ci" or "npm run build"' >&2 && exit 1; }

version=$(node -p 'require("./package.json").version')
name=sprawl-edge-$version
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$name/dist"
cp -R bin deploy docs package.json package-lock.json README.md CHANGELOG.md LICENSE "$work/$name"
for folder in dist/*/; do
  [ "$folder" = dist/test/ ] || cp -R "${folder%/}" "$work/$name/dist"
done
(
  cd "$work/$name"
  npm ci --omit=dev --ignore-scripts --no-audit --no-fund
  find node_modules -path '*/prebuilds/*' -type f ! -path "*/prebuilds/linux-$arch/*" -delete
) >&2
tar -C "$work" --owner=0 --group=0 --sort=name -czf "$into/$name-linux-$arch.tar.gz" "$name"
echo "$into/$name-linux-$arch.tar.gz"
