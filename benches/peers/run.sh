#!/usr/bin/env bash
# Ours beside its peers, in one run: job W (BENCHMARKS.md), one command at a time, and some of Nexmark.
#
#   benches/peers/run.sh                        all of them, about a quarter of an hour after the builds; writes PEERS.md
#   benches/peers/run.sh differential flink     some of: differential dbsp commands sqlite duckdb flink nexmark
#   PEERS_EVENTS=100000 benches/peers/run.sh    a tenth of W
#
# PEERS_COMMANDS (5,000) is how many commands are executed one by one, PEERS_TURNS (3) how often each measurement is taken: the best one counts.
# Only the full job, with all peers, writes PEERS.md; otherwise, and where one of them could not be run, the table is printed.
#
# It installs what it needs: a Python environment in target/ for DuckDB and PyFlink, Java and PostgreSQL by apt-get where there are none. What cannot
# be installed is left out, and the table says so. Rows that are wrong end it with an error.
#
# Each system is a program of its own: `src/*.rs`, `commands/src/*.rs` (they need another SQLite than ours), `*.py`. It checks its rows and adds
# a line for each measurement to a file; `src/report.rs` makes the table of them. Stores are made where mktemp makes folders: TMPDIR should be on a disk.
set -Eeuo pipefail
cd "$(dirname "$0")"

all="differential dbsp commands sqlite duckdb flink nexmark"
peers=${*:-$all}
turns=${PEERS_TURNS:-3}
for peer in $peers; do
    [[ " $all " == *" $peer "* ]] || { echo "there is no peer $peer; there are: $all" >&2; exit 2; }
done

wanted() { [[ " $peers " == *" $1 "* ]]; }
progress() { echo "$(date -u +%T) $*" >&2; }
missing() { progress "not run: $1: $2"; printf 'missing\t%s\t%s\n' "$1" "$2" >>"$measured"; }
version() { printf 'version\t%s\t%s\n' "$1" "$2" >>"$measured"; }

work=$(mktemp -d)
measured=$work/measured
: >"$measured"
clear_away() {
    if [[ -n ${server:-} ]]; then as_postgres "$server/pg_ctl" -D "$work/postgres/data" -m immediate -s stop || true; fi
    rm -rf "$work"
}
trap clear_away EXIT
trap 'echo "it ended at line $LINENO: a build, a check or a program failed" >&2' ERR

run() {
    progress "$(basename "$1") ${*:2}"
    PEERS_MEASURED=$measured timeout 900 "$@" >/dev/null
}

as_root() { if [[ $(id -u) == 0 ]]; then "$@"; else sudo -n "$@"; fi; }
apt() { as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$@" >&2; }

# PostgreSQL does not run as root.
as_postgres() { if [[ $(id -u) == 0 ]]; then runuser -u postgres -- "$@"; else "$@"; fi; }

start_postgres() {
    find_postgres() { find /usr/lib/postgresql -name pg_ctl 2>/dev/null | sort -V | tail -1; }
    [[ -n $(find_postgres) ]] || apt postgresql || return 1
    local bin folder=$work/postgres
    bin=$(dirname "$(find_postgres)")
    chmod 711 "$work"
    mkdir "$folder"
    if [[ $(id -u) == 0 ]]; then chown postgres "$folder"; fi
    as_postgres "$bin/initdb" -D "$folder/data" -U peers -A trust >/dev/null || return 1
    as_postgres "$bin/pg_ctl" -D "$folder/data" -w -s -l "$folder/log" -o "-k $folder -c listen_addresses=''" start || return 1
    server=$bin
    url="postgresql://peers@localhost/postgres?host=$folder"
    version PostgreSQL "$("$bin/postgres" --version), as it comes (fsync, synchronous_commit), over a unix socket"
}

python=target/python/bin/python
install_python() {
    [[ -x $python ]] && return
    local interpreter
    # PyFlink wants none that is newer.
    for interpreter in python3.11 python3.10 python3.9 python3; do
        "$interpreter" --version >/dev/null 2>&1 || continue
        "$interpreter" -m venv target/python && return
        { apt python3-venv && "$interpreter" -m venv target/python; } && return
    done
    return 1
}
pip() { install_python && "$python" -m pip install -q --disable-pip-version-check "$(grep "^$1==" requirements.txt)" >&2; }

progress "what has to be installed"
mkdir -p target
if wanted duckdb; then pip duckdb && duckdb=yes || missing DuckDB "pip cannot install it"; fi
if wanted flink; then
    if ! java -version >/dev/null 2>&1 && ! apt openjdk-17-jre-headless; then
        missing "Flink SQL" "there is no Java"
    elif ! pip apache-flink; then
        missing "Flink SQL" "pip cannot install PyFlink"
    else
        flink=yes
        version Flink "$("$python" -m pip show apache-flink | grep ^Version), Java $(java -version 2>&1 | head -1)"
    fi
fi
if [[ ${duckdb:-} ]]; then version DuckDB "$("$python" -c 'import duckdb; print(duckdb.__version__)'), as it comes"; fi

progress "builds"
features=
for peer in differential dbsp nexmark; do if wanted "$peer"; then features+="$peer,"; fi; done
cargo build --release --locked --features "$features"
bin=target/release
if wanted commands; then
    cargo build --release --locked --manifest-path commands/Cargo.toml --target-dir target/commands
    start_postgres && postgres=yes || missing "cqrs-es, PostgreSQL" "the server cannot be installed or started"
fi
$bin/ours csv "$work/purchases.csv"

check=check
for ((turn = 1; turn <= turns; turn++)); do
    progress "turn $turn of $turns"
    if wanted differential || wanted dbsp || wanted duckdb; then run $bin/ours batches; fi
    if wanted differential; then run $bin/differential $check; fi
    if wanted dbsp; then run $bin/dbsp $check; fi
    if wanted commands; then
        run $bin/ours commands
        run target/commands/release/cqrs-es "$work/purchases.csv"
        if [[ ${postgres:-} ]]; then
            "$server/psql" -q -v ON_ERROR_STOP=1 -f commands/tables.sql "$url" 2>/dev/null
            run target/commands/release/cqrs-es "$work/purchases.csv" "$url"
        fi
        for synchronous in FULL NORMAL; do run target/commands/release/evento "$work/purchases.csv" $synchronous; done
    fi
    if wanted sqlite; then
        run $bin/ours durable
        run $bin/sqlite
    fi
    if wanted duckdb || wanted flink; then run $bin/ours fed; fi
    if [[ ${duckdb:-} ]]; then run "$python" duckdb_once.py "$work/purchases.csv"; fi
    if wanted nexmark; then run $bin/nexmark $check; fi
    check=
done
if [[ ${flink:-} ]]; then
    # Its turns are in one JVM.
    for parallelism in 1 2; do
        for how in "" tuned; do
            run "$python" flink.py "$work/purchases.csv" $parallelism "$turns" $how
            run $bin/ours fed
        done
    done
fi

progress "the table"
scope=some
if [[ $peers == "$all" ]]; then scope=all; fi
$bin/report "$measured" $scope >"$work/table.md"
cat "$work/table.md"
if [[ $scope == all && -z ${PEERS_EVENTS:-} ]] && ! grep -q '^missing' "$measured"; then cp "$work/table.md" PEERS.md; fi
