"""Flink SQL: `flink.py CSV PARALLELISM TURNS [tuned]`, in streaming mode, with its heap state backend; `tuned` with what its performance tuning
guide advises: mini-batches, local-global aggregation, object reuse.

What is measured is the job's net runtime as Flink itself has it, from its start to its end: no JVM start, no planning, no submission. The JVM is
the same for all turns, so that the later ones are compiled. The sink of those is the black hole. One more turn, which is not measured, has the same
query printed; its changes are folded here, and what they come to is checked.
"""

import os
import re
import sys
import tempfile

from pyflink.table import EnvironmentSettings, TableEnvironment

from measured import check, purchases, say

CHANGE = re.compile(r"(?:\d+> )?(\+I|-U|\+U|-D)\[(.*), (.*), (-?\d+)\]$")


def split(file, folder, parts):
    """A file for each reader, because a CSV file is read by one; without the header, which Flink takes for a row."""
    with open(file) as lines:
        next(lines)
        outs = [open(os.path.join(folder, f"{part}.csv"), "w") for part in range(parts)]
        for at, line in enumerate(lines):
            outs[at % parts].write(line)
        for out in outs:
            out.close()


file, parallelism, turns, tuned = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:] == ["tuned"]
who = f"Flink SQL, {'tuned' if tuned else 'as it comes'}, parallelism {parallelism}"

# The JVM prints to what is the standard output of this process when it starts.
changes = tempfile.NamedTemporaryFile()
sys.stdout = os.fdopen(os.dup(1), "w")
os.dup2(changes.fileno(), 1)

table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
TUNED = {
    "pipeline.object-reuse": "true",
    "table.exec.mini-batch.enabled": "true",
    "table.exec.mini-batch.allow-latency": "5 s",
    "table.exec.mini-batch.size": "5000",
    "table.optimizer.agg-phase-strategy": "TWO_PHASE",
}
for name, value in ({"parallelism.default": parallelism} | (TUNED if tuned else {})).items():
    table.get_config().set(name, value)

COLUMNS = "customer STRING, item STRING"
folder = tempfile.TemporaryDirectory()
split(file, folder.name, int(parallelism))
table.execute_sql(
    f"CREATE TABLE purchases ({COLUMNS}, qty INT) "
    f"WITH ('connector' = 'filesystem', 'path' = 'file://{folder.name}', 'format' = 'csv')"
)
for sink in ["blackhole", "print"]:
    table.execute_sql(f"CREATE TABLE {sink} ({COLUMNS}, total INT) WITH ('connector' = '{sink}')")


def run(sink):
    """The net runtime of the job, in seconds."""
    result = table.execute_sql(
        f"INSERT INTO {sink} SELECT customer, item, SUM(qty) FROM purchases GROUP BY customer, item"
    )
    return result.get_job_client().get_job_execution_result().result().get_net_runtime() / 1000


def printed():
    """The rows that the printed changes come to."""
    run("print")
    rows = {}
    with open(changes.name) as lines:
        for line in lines:
            if change := CHANGE.match(line.rstrip("\n")):
                kind, customer, item, total = change.groups()
                if kind in ("+I", "+U"):
                    rows[customer, item] = int(total)
                elif rows.get((customer, item)) == int(total):
                    del rows[customer, item]
    return ((customer, item, total) for (customer, item), total in rows.items())


number, wanted = purchases(file)
check(who, printed(), wanted)
for _ in range(turns):
    say(who, "csv", number, run("blackhole"))
