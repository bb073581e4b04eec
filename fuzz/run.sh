#!/usr/bin/env bash
# Fuzzes: run.sh [SECONDS [TARGET..]]. Each target that long, 600 seconds unless told, one after the other; all of them unless some are named.
#
# It needs rustup's stable toolchain and a C++ compiler. What the sanitizer needs of rustc is not stable, hence RUSTC_BOOTSTRAP.
# Ends non-zero at the first finding, which is in artifacts/TARGET: put it into regressions/TARGET, under a name that says what it is.
set -euo pipefail
cd "$(dirname "$0")"
export RUSTC_BOOTSTRAP=1

seconds=${1:-600}
shift || true
cargo fuzz --version >/dev/null 2>&1 || nice cargo install --locked -j1 cargo-fuzz
list=$(cargo fuzz list)
[[ -n $list ]] || { echo "cargo fuzz knows no targets" >&2; exit 1; }
mapfile -t all <<<"$list"
targets=("$@")
((${#targets[@]})) || targets=("${all[@]}")

for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "regressions/$target"
    # Leaks are not looked for after each input: an engine's last thread may still be ending then. What grows shows in the resident size.
    # An input has 4 KiB at most, one allocation 64 MiB, all of them 2 GiB; 30 seconds on an input are a finding.
    cargo fuzz run "$target" "corpus/$target" "seeds/$target" "regressions/$target" -- \
        -max_total_time="$seconds" -max_len=4096 -malloc_limit_mb=64 -rss_limit_mb=2048 -timeout=30 -detect_leaks=0 -print_final_stats=1
done
