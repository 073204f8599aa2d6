"""Medians, ratios of pairs, and tables."""

import math
import statistics


def median(values):
    return statistics.median(values)


def percentile(values, percent):
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def pair_ratio(numerators, denominators):
    """Median of the ratios of what was measured in the same round."""
    return median([a / b for a, b in zip(numerators, denominators)])


def geomean(values):
    return math.exp(sum(math.log(v) for v in values) / len(values))


def table(heads, rows):
    """Text with aligned columns; the first is left-aligned."""
    cells = [[str(c) for c in row] for row in [heads, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    lines = []
    for row in cells:
        first = row[0].ljust(widths[0])
        lines.append("  ".join([first, *[c.rjust(w) for c, w in zip(row[1:], widths[1:])]]))
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def verdict(ok):
    return "ok" if ok else "MISSED"
