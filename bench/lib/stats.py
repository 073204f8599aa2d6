"""Medians, ratios of pairs, bars, and tables."""

import math
import statistics

PAIRS_MIN = 9  # fewer rounds give no verdict worth keeping
NOT_WORSE_MEDIAN = 1.03
NOT_WORSE_GEOMEAN = 1.00


def median(values):
    return statistics.median(values)


def percentile(values, percent):
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def pairs(numerators, denominators):
    """The ratios of what was measured in the same round."""
    return [a / b for a, b in zip(numerators, denominators, strict=True)]


def pair_ratio(numerators, denominators):
    """Median of the ratios of pairs."""
    return median(pairs(numerators, denominators))


def median_error(values):
    """Half of the 95 % interval of the median, by ranks of the binomial distribution (its normal approximation, with
    the correction for continuity)."""
    ordered = sorted(values)
    low = max(0, math.floor((len(ordered) - 1) / 2 - 0.98 * math.sqrt(len(ordered))))
    return (ordered[len(ordered) - 1 - low] - ordered[low]) / 2


def geomean(values):
    return math.exp(sum(math.log(v) for v in values) / len(values))


def geomean_error(ratios, errors):
    """Half of the 95 % interval of the geometric mean of ratios that err independently by so much."""
    return math.sqrt(sum((e / r) ** 2 for r, e in zip(ratios, errors, strict=True))) / len(ratios) * geomean(ratios)


def bar(text, value, ok):
    """One bar of a row: what is asked, what was measured, and whether it is reached (None: not measured)."""
    return {"bar": text, "value": value, "ok": ok}


def not_worse(what, rows):
    """Bars of "not worse than X" for rows (name -> ratios of pairs to X): each median, and their geometric mean."""
    medians = {name: median(ratios) for name, ratios in rows.items()}
    worst = max(medians, key=medians.get)
    mean = geomean(list(medians.values()))
    return [bar(f"{what}: median of ratios <= {NOT_WORSE_MEDIAN}", f"{medians[worst]:.3f} ({worst})",
                medians[worst] <= NOT_WORSE_MEDIAN),
            bar(f"{what}: geometric mean <= {NOT_WORSE_GEOMEAN:.2f}", f"{mean:.3f}", mean <= NOT_WORSE_GEOMEAN)]


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
    return {True: "reached", False: "missed", None: "not measured"}[ok]
