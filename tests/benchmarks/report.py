#!/usr/bin/env python3
"""Turns what peers.py measured into the tables and the plot of docs/performance.md.

    report.py FOLDER      writes tables.md, peers.png and peers.svg beside FOLDER/results.json again
"""

import json
import platform
import statistics
import sys
from pathlib import Path

import workloads

# The class of peers that each of our precisions is compared with.
CLASS = {"f32": "f32", "f32-split": "f32", "bf16": "bf16", "int8": "int8"}
ISA_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_tile",
             "amx_bf16", "amx_int8", "asimd", "sve", "i8mm", "bf16")
LINE_LENGTH = 300  # of a failure
COLOURS = {"f32": "#4c78a8", "f32-split": "#72b7b2", "bf16": "#f58518", "int8": "#54a24b"}


def describe_machine() -> dict:
    fields = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", fields.get("Features", "")).split()
    model = fields.get("model name", platform.machine())
    if "cpu family" in fields:
        model += f" (family {fields['cpu family']}, model {fields['model']}, stepping {fields['stepping']})"
    return {"cpu": model, "flags": [flag for flag in ISA_FLAGS if flag in flags],
            "python": platform.python_version()}


class Figures:
    """Medians over the rounds."""

    def __init__(self, document: dict):
        self.document = document
        self.loads = [load for load in workloads.WORKLOADS
                      if any(load.name in results for results in document["results"].values())]
        self.ours = [name for name in document["precision"] if name.startswith("Contexture ")]
        self.peers = [name for name in document["precision"] if name not in self.ours]

    def values(self, name: str, load: workloads.Workload) -> list[float]:
        """Milliseconds or tokens a second. Ours are not sorted: the sorted load is the mixed one."""
        key = load.source if name in self.ours else load.name
        rounds = self.document["results"].get(name, {}).get(key, [])
        return [one["p50_ms" if load.latency else "tokens_per_second"] for one in rounds]

    def median(self, name: str, load: workloads.Workload) -> float | None:
        values = self.values(name, load)
        return statistics.median(values) if values else None

    def best_peer(self, precision: str, load: workloads.Workload) -> tuple[str, float] | None:
        found = [(name, self.median(name, load)) for name in self.peers
                 if self.document["precision"][name] == CLASS.get(precision, precision)]
        found = [item for item in found if item[1] is not None]
        choose = min if load.latency else max
        return choose(found, key=lambda item: item[1]) if found else None


def _number(value: float, latency: bool) -> str:
    if latency:
        return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms"
    return f"{value / 1000:.1f}k" if value >= 1000 else f"{value:.0f}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def ratio_table(figures: Figures) -> list[str]:
    names = figures.ours
    lines = [_row(["load"] + [f"{name.split()[-1]}: ours / best {CLASS.get(name.split()[-1], '?')} peer"
                              for name in names]), _row(["---"] * (len(names) + 1))]
    for load in figures.loads:
        cells = [load.title]
        for name in names:
            mine, best = figures.median(name, load), figures.best_peer(name.split()[-1], load)
            cells.append("not measured" if mine is None or best is None else
                         f"**{mine / best[1]:.2f} x** ({_number(mine, load.latency)} / "
                         f"{_number(best[1], load.latency)} {best[0].rsplit(' ', 1)[0]})")
        lines.append(_row(cells))
    return lines


def full_table(figures: Figures) -> list[str]:
    probes = figures.document["probes"] if figures.document["accuracy"] else {}
    kinds = [f"min cosine, {count} {kind}" for kind, count in probes.items()]
    lines = [_row(["", *(load.title for load in figures.loads), *kinds]),
             _row(["---"] * (len(figures.loads) + 1 + len(kinds)))]
    for name in figures.ours + figures.peers:
        cells = [name]
        for load in figures.loads:
            values = figures.values(name, load)
            cells.append(f"{_number(statistics.median(values), load.latency)} "
                         f"({_number(min(values), load.latency).removesuffix(' ms')} to "
                         f"{_number(max(values), load.latency).removesuffix(' ms')})"
                         if values else "not measured")
        cosines = figures.document["accuracy"].get(name, {})
        cells += [f"{cosines[kind]:.6f}" if kind in cosines else "not measured"
                  for kind in probes]
        lines.append(_row(cells))
    return lines


def limit_table(figures: Figures) -> list[str]:
    """How much of the measured rate of the product kernels alone each of our figures is."""
    loads = [load for load in figures.loads if not load.sort_for_peers]
    lines = [_row(["share of the GEMM limit", *(load.title for load in loads)]),
             _row(["---"] * (len(loads) + 1))]
    for name in figures.ours:
        results = figures.document["results"].get(name, {})
        shares = [[one["gemm_limit_share"] for one in results.get(load.name, [])] for load in loads]
        lines.append(_row([name, *(f"{statistics.median(values):.0%}" if values else "not measured"
                                   for values in shares)]))
    return lines if figures.ours else []


def failure_lines(document: dict) -> list[str]:
    lines = [f"- {name}: {failure[:LINE_LENGTH]}" for name, failures in document["failures"].items()
             for failure in failures]
    return ["Not measured:", "", *lines, ""] if lines else []


def markdown(document: dict) -> str:
    figures = Figures(document)
    versions = sorted(set(document["version"].values()))
    built_in = [f"{name.split()[-1]} {cosine:.7f}" for name, cosine in
                document["built_in_cosine"].items() if cosine is not None]
    return "\n".join([
        f"{document['model']} on {document['cpu']}, {document['threads']} "
        f"thread{'s' if document['threads'] > 1 else ''}; it has {', '.join(document['flags'])}; "
        f"Contexture computes with {document['isa']}. Rounds: {document['rounds']}, medians over them; each at least "
        f"{document['seconds']:g} s after {document['warm_up']:g} s of warm-up.",
        "", *ratio_table(figures), "",
        "Real tokens a second, for latencies the median time of a call; in brackets the range over the "
        "rounds. Ours run the sorted load as it arrives. Cosines are to transformers in f32, each sequence "
        "alone.",
        "", *full_table(figures), "", *limit_table(figures), "",
        *failure_lines(document),
        *([f"Contexture's own measure of accuracy, to f32 on its built-in probes: {', '.join(built_in)}."]
          if built_in else []),
        f"Versions: {'; '.join(versions)}; Python {document['python']}.", ""])


def plot(document: dict, folder: Path) -> None:
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    figures = Figures(document)
    names = figures.ours + figures.peers
    columns = min(3, len(figures.loads))
    rows = -(-len(figures.loads) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(5.2 * columns, 0.32 * len(names) * rows + 1.6),
                                squeeze=False, sharey=True, layout="constrained")
    for axis in axes.flat[len(figures.loads):]:
        axis.set_visible(False)
    for axis, load in zip(axes.flat, figures.loads):
        for place, name in enumerate(names):
            values = figures.values(name, load)
            if not values:
                continue
            middle = statistics.median(values)
            axis.barh(place, middle, color=COLOURS.get(document["precision"][name], "#888888"),
                      hatch=None if name in figures.ours else "///", edgecolor="white",
                      xerr=[[middle - min(values)], [max(values) - middle]])
            axis.text(max(values), place, f" {_number(middle, load.latency)}", va="center", fontsize=7)
        axis.set_title(f"{load.title}\n" + ("ms, less is better" if load.latency
                                            else "tokens/s, more is better"), fontsize=9)
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.margins(x=0.18)
    axes[0][0].invert_yaxis()
    figure.suptitle(f"{document['model']}, {document['threads']} thread(s), {document['cpu']}", fontsize=9)
    for kind in ("png", "svg"):
        figure.savefig(folder / f"peers.{kind}", dpi=140)
    plt.close(figure)


def write(document: dict, folder: Path) -> None:
    tables = markdown(document)
    (folder / "tables.md").write_text(tables)
    print(tables)
    plot(document, folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(json.loads((Path(sys.argv[1]) / "results.json").read_text()), Path(sys.argv[1]))
