"""What the programs in Python do with what they have measured: they check the rows, and say how long they took."""

import csv
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
    number = 0
    for customer, item, total in rows:
        if wanted.get((customer, item)) != total:
            raise SystemExit(f"{who}: the sum of {customer}, {item} is wrong: {total}")
        number += 1
    if number != len(wanted):
        raise SystemExit(f"{who}: {number} groups, not {len(wanted)}")


def say(who, job, events, seconds):
    """A line for the report: who did which job over how many events, in how many seconds."""
    print(who, job, events, seconds, sep="\t", flush=True)
