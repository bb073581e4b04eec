#!/bin/sh
# The tests that chance plays a part in, for as long as you like: `tests/long.sh [KILLS]`, 10,000 by default (a second holds about four); then
# ten times as many images of power cuts (`POWER_IMAGES`), and every bit of a small store (`ROT_BITS`).
# Each prints its seed; `CRASH_SEED=..` repeats a run's moments and choices. A failure ends it with what was found.
set -eu
cd "$(dirname "$0")/.."
export CRASH_KILLS="${1:-${CRASH_KILLS:-10000}}"
export PROPTEST_CASES="${PROPTEST_CASES:-2000}"
export DAMAGE_STEP="${DAMAGE_STEP:-1}"
cargo test --release --locked -p integration-tests --test crash -- --nocapture
cargo test --release --locked -p integration-tests --test feed --test model --test damage --test whole --test columns
cargo test --release --locked -p cqrs-core --all-features --lib
DECIDE_ROUNDS="${DECIDE_ROUNDS:-3000}" cargo test --release --locked -p integration-tests --test decide --test park
export POWER_IMAGES="${POWER_IMAGES:-100000}"
export ROT_BITS="${ROT_BITS:-8}" ROT_STEP="${ROT_STEP:-1}"
cargo test --release --locked -p integration-tests --test power --test rot -- --nocapture
SHUTTLE_ITERATIONS="${SHUTTLE_ITERATIONS:-100000}" cargo test --release --locked -p models
SIM_SEEDS="${SIM_SEEDS:-200000}" cargo test --release --locked -p sim
