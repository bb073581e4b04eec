"""DuckDB, once: `duckdb_once.py CSV`. One GROUP BY of the file, and one of the table that it was loaded into; nothing is kept current."""

import sys
import time

import duckdb

from measured import check, purchases, say

QUERY = "CREATE OR REPLACE TABLE totals AS SELECT customer, item, SUM(qty) AS total FROM {} GROUP BY customer, item"

file = sys.argv[1]
number, wanted = purchases(file)
connection = duckdb.connect()


def run(job, source):
    begun = time.perf_counter()
    connection.execute(QUERY.format(source))
    seconds = time.perf_counter() - begun
    check("DuckDB", connection.execute("SELECT customer, item, total::BIGINT FROM totals").fetchall(), wanted)
    say("DuckDB", job, number, seconds)


run("csv", f"read_csv('{file}')")
connection.execute(f"CREATE TABLE purchases AS FROM read_csv('{file}')")
run("table", "purchases")
