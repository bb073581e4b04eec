"""What the programs in Python do with what they have measured: they check the rows, and say how long they took."""

import csv
import os
from collections import Counter


def purchases(file):
    """The lines of the CSV file, and what their sums have to be."""
    sums, number = Counter(), 0
    with open(file, newline="") as lines:
        for purchase in csv.DictReader(lines):
            sums[purchase["customer"], purchase["item"]] += int(purchase["qty"])
            number += 1
    return number, dict(sums)


def check(who, rows, wanted):
    """Ends the program with an error, unless the rows are the wanted ones, each once."""
    left = dict(wanted)
    for customer, item, total in rows:
        if left.pop((customer, item), None) != total:
            raise SystemExit(f"{who}: the sum of {customer}, {item} is wrong, or there twice: {total}")
    if left:
        raise SystemExit(f"{who}: {len(left)} groups are missing")


def say(who, job, events, seconds):
    """A line for the report, as `src/measured.rs` says it."""
    line = "\t".join(map(str, (who, job, events, seconds)))
    if file := os.environ.get("PEERS_MEASURED"):
        with open(file, "a") as lines:
            print(line, file=lines)
    else:
        print(line, flush=True)
