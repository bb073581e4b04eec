#!/usr/bin/env bash
# The page in headless Chromium: `examples/live/e2e/run.sh [--screenshot]`. Installs what it needs, the browser by apt-get and what drives it by npm.
# With `--screenshot`, the picture in the README is taken anew.
set -euo pipefail
cd "$(dirname "$0")/../../.."

command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; }
command -v npm >/dev/null || { apt-get update -qq && apt-get install -y -qq nodejs npm; }
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
driver="$target/e2e"
mkdir -p "$driver"
npm install --prefix "$driver" --no-save --no-package-lock --no-audit --no-fund --silent playwright-core@1.65.1

# Of the whole workspace, so that what `cargo test --workspace` has built serves.
cargo build --locked --workspace --bin live
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
CHROMIUM=$(command -v chromium) DRIVER="$driver" SERVER="$target/debug/live" FOLDER="$folder" \
    node examples/live/e2e/page.mjs "$@"
