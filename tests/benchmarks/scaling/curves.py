#!/usr/bin/env python3
"""The curves of docs/scaling.md: simulates clusters of 2 to 2,000 servers and draws what becomes of their calls.

  curves.py --cost cost.json --out docs/images [--quick]

Needs simpy and matplotlib. Takes ten minutes; --quick a minute, with fewer requests and servers.
"""

import argparse
import concurrent.futures
import json
import math
import pathlib

from balancers import POLICIES
from cluster import ClientOptions, Cluster, Load, percentile
from cost import read

DEADLINE = 0.5
CLIENTS = 20
SIZES = (2, 4, 8, 32, 128, 2000)
UTILIZATIONS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5)
WARM_UP = 2.5  # seconds; the weights are known by then
# A point is the median of the seeds, each of at least so many requests, at least so long.
SEEDS, REQUESTS, SHORTEST = (1, 2, 3), 8_000, 1.0
GOAL = 0.2  # seconds, of the p99, for the sizing rule


def slow_part(servers: int) -> list[float]:
    """Every fourth server at 0.6 of the speed: an older CPU, or a neighbour."""
    return [0.6 if i % 4 == 0 else 1.0 for i in range(servers)]


def point(cost, lengths, policy: str, servers: int, utilization: float, uneven: bool, requests: int) -> dict:
    speeds = slow_part(servers) if uneven else [1.0] * servers
    rate = utilization * sum(speeds) / cost.of_request(lengths)
    seconds = max(SHORTEST, requests / rate)
    seeds = SEEDS if servers <= 32 else SEEDS[:1]
    runs = [Cluster(cost, Load(rate, lengths, DEADLINE, CLIENTS), policy, speeds, seed).run(WARM_UP, seconds)
            for seed in seeds]

    def median(value):
        return sorted(value(run) for run in runs)[len(runs) // 2]
    return {"policy": policy, "servers": servers, "utilization": utilization, "uneven": uneven,
            "p50": median(lambda run: run.percentile(50)), "p99": median(lambda run: run.percentile(99)),
            "goodput": median(lambda run: run.counts["good"] / run.offered())}


def points(cost, lengths, quick: bool) -> list[dict]:
    requests = 2000 if quick else REQUESTS
    sizes = (2, 8) if quick else SIZES
    jobs = [(policy, servers, utilization, uneven)
            for policy in POLICIES for servers in sizes for uneven in (False, True) for utilization in UTILIZATIONS
            if servers <= 128 or utilization in (0.5, 0.7, 0.9)]
    with concurrent.futures.ProcessPoolExecutor() as pool:
        running = [pool.submit(point, cost, lengths, *job, requests) for job in jobs]
        for done, _ in enumerate(concurrent.futures.as_completed(running), 1):
            print(f"{done} of {len(jobs)} points", flush=True) if done % 20 == 0 else None
    print()
    return [run.result() for run in running]


# Events in time.

EVENT_SERVERS, EVENT_UTILIZATION, EVENT_START = 6, 0.65, 20.0


def event(cost, lengths, title: str, happen, seconds: float, options=ClientOptions()) -> dict:
    """Goodput and p99 second by second while something happens to a cluster."""
    rate = EVENT_UTILIZATION * EVENT_SERVERS / cost.of_request(lengths)
    cluster = Cluster(cost, Load(rate, lengths, 1.0, CLIENTS), "round robin", [1.0] * EVENT_SERVERS,
                      client_options=options)
    happen(cluster)
    record = cluster.run(0.0, seconds)
    share = [counts["good"] / max(1, sum(counts.values())) for counts, _ in record.bins]
    return {"title": title, "goodput": share, "p99": [percentile(latencies, 99) for _, latencies in record.bins],
            "counts": record.counts}


def restart(pause: float):
    return lambda cluster: cluster.env.process(cluster.rolling_restart(EVENT_START, pause, 5.0))


def lose_zone(silent: bool):
    def happen(cluster):
        def lose():
            for server in cluster.addresses[::3]:
                cluster.kill(server, silent)
        cluster.after(EVENT_START, lose)
    return happen


def events(cost, lengths) -> list[dict]:
    soon = ClientOptions(resolve_seconds=5.0)
    return [
        event(cost, lengths, "restart, one in 5 s; names resolved at most every 30 s", restart(5.0), 120.0),
        event(cost, lengths, "restart, one in 5 s; every 5 s", restart(5.0), 120.0, soon),
        event(cost, lengths, "restart, one in 35 s; every 30 s", restart(35.0), 480.0),
        event(cost, lengths, "a zone of three ends", lose_zone(silent=False), 60.0),
        event(cost, lengths, "a zone of three falls silent", lose_zone(silent=True), 60.0),
    ]


# What follows.

def most_utilization(results: list[dict], policy: str, servers: int, uneven: bool) -> float:
    """The load at which the p99 reaches GOAL, between the points linearly."""
    row = sorted((r["utilization"], r["p99"]) for r in results
                 if (r["policy"], r["servers"], r["uneven"]) == (policy, servers, uneven) and r["utilization"] < 1)
    best = math.nan
    for (low, before), (high, after) in zip(row, row[1:]):
        if before <= GOAL:
            best = high if after <= GOAL else low + (high - low) * (GOAL - before) / (after - before)
    return best


def print_tables(results: list[dict], happened: list[dict]) -> None:
    sizes = sorted({r["servers"] for r in results})
    for uneven in (False, True):
        print(f"\n{'every fourth server at 0.6' if uneven else 'equal servers'}: load at a p99 of {GOAL} s")
        print("| servers | " + " | ".join(POLICIES) + " |\n|---|" + "---|" * len(POLICIES))
        for servers in sizes:
            print(f"| {servers} | " + " | ".join(
                f"{most_utilization(results, policy, servers, uneven):.2f}" for policy in POLICIES) + " |")
    for what in happened:
        print(f"\n{what['title']}: {what['counts']}, worst second {100 * min(what['goodput']):.0f} %")


def draw(results: list[dict], happened: list[dict], out: pathlib.Path) -> None:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    pyplot.rcParams.update({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3})
    styles = dict(zip(POLICIES, (("#0072b2", "o"), ("#d55e00", "s"), ("#009e73", "^"))))

    shown = [size for size in (2, 8, 128, 2000) if any(r["servers"] == size for r in results)]
    figure, axes = pyplot.subplots(2, len(shown), figsize=(3 * len(shown), 5.6), sharey=True, layout="constrained")
    for row, uneven in zip(axes, (False, True)):
        for axis, servers in zip(row, shown):
            for policy, (colour, marker) in styles.items():
                line = sorted((r["utilization"], 1000 * r["p99"]) for r in results if r["utilization"] <= 1
                              and (r["policy"], r["servers"], r["uneven"]) == (policy, servers, uneven))
                axis.plot(*zip(*line), color=colour, marker=marker, markersize=3, label=policy)
            axis.axhline(1000 * GOAL, color="gray", linewidth=0.8, linestyle="--")
            axis.set(yscale="log", title=f"{servers} servers" + (", every 4th slow" if uneven else ""),
                     xlabel="load, of what they can compute")
        row[0].set_ylabel("p99, ms")
    axes[0][0].legend(fontsize=8)
    figure.savefig(out / "scaling_p99.png", dpi=80)

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
    for axis, uneven in zip(axes, (False, True)):
        for policy, (colour, marker) in styles.items():
            line = sorted((r["utilization"], r["utilization"] * r["goodput"]) for r in results
                          if (r["policy"], r["servers"], r["uneven"]) == (policy, 8, uneven))
            axis.plot(*zip(*line), color=colour, marker=marker, markersize=3, label=policy)
        axis.plot([0.3, 1.0, 1.5], [0.3, 1.0, 1.0], color="gray", linewidth=0.8, linestyle="--", label="no loss")
        axis.set(title="8 servers" + (", every 4th slow" if uneven else ""), xlabel="load, of what they can compute")
    axes[0].set_ylabel("answered in 0.5 s, of the same")
    axes[0].legend(fontsize=8)
    figure.savefig(out / "scaling_goodput.png", dpi=80)

    figure, axes = pyplot.subplots(len(happened), 1, figsize=(8, 1.7 * len(happened)), layout="constrained")
    for axis, what in zip(axes, happened):
        axis.step(range(len(what["goodput"])), [100 * share for share in what["goodput"]], where="post", color="#0072b2")
        axis.set(ylim=(0, 105), ylabel="in time, %", title=what["title"])
        other = axis.twinx()
        other.grid(False)
        other.step(range(len(what["p99"])), [1000 * value for value in what["p99"]], where="post", color="#d55e00",
                   linewidth=0.8)
        other.set(ylim=(0, 1100))
        other.set_ylabel("p99, ms", color="#d55e00")
    axes[-1].set_xlabel("seconds")
    figure.savefig(out / "scaling_events.png", dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cost", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--results", type=pathlib.Path, help="where the points go, or come from if it exists")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    cost, lengths = read(arguments.cost)
    if arguments.results and arguments.results.exists():
        results, happened = json.loads(arguments.results.read_text())
    else:
        results, happened = points(cost, lengths, arguments.quick), events(cost, lengths)
    if arguments.results:
        arguments.results.write_text(json.dumps([results, happened]))
    print_tables(results, happened)
    draw(results, happened, arguments.out)


if __name__ == "__main__":
    main()
