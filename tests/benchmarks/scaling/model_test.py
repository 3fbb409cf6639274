#!/usr/bin/env python3
"""The model of docs/scaling.md against what is known without it. Exit code 77 where SimPy >= 3 is missing."""

import random
import statistics
import sys
import unittest

SKIPPED = 77
try:
    import simpy
    missing = not hasattr(simpy, "Environment")  # SimPy 2, as Debian 12 has it, is another library
except ImportError:
    missing = True
if not missing:
    from balancers import WeightedRoundRobin
    from cluster import ClientOptions, Cluster, Load
    from cost import Cost
    from replica import Quota

SERVICE = 0.01
PATIENT = 1e6


def one_by_one():
    """A server that computes each request alone in SERVICE seconds."""
    return Cost(fixed=SERVICE, per_token=0, per_square=0, max_batch_tokens=1)


def run(policy="round robin", servers=1, rate=50.0, seconds=200.0, deadline=PATIENT, cost=None, speeds=None, before=None,
        **load):
    cluster = Cluster(cost or one_by_one(), Load(rate, [1], deadline, **load), policy, speeds or [1.0] * servers)
    if before:
        before(cluster)
    return cluster.run(warm_up=20.0, seconds=seconds)


class ClusterTest(unittest.TestCase):
    def test_one_server_waits_as_m_d_1_says(self):
        """Pollaczek and Khinchine: the mean wait is utilization * service / (2 (1 - utilization))."""
        for utilization in (0.3, 0.6, 0.8):
            with self.subTest(utilization):
                record = run(rate=utilization / SERVICE, seconds=3000.0)
                wait = statistics.fmean(record.latencies) - SERVICE
                expected = utilization * SERVICE / (2 * (1 - utilization))
                self.assertAlmostEqual(wait / expected, 1, delta=0.05)

    def test_equal_gaps_in_turn_make_nobody_wait(self):
        record = run(servers=4, rate=0.99 * 4 / SERVICE, poisson=False, clients=1)
        self.assertAlmostEqual(record.percentile(99.9), SERVICE, places=9)

    def test_batches_share_the_fixed_time(self):
        """Ten to a batch: what one by one would be ten times too much is answered."""
        cost = Cost(fixed=SERVICE, per_token=0, per_square=0, max_batch_tokens=10)
        record = run(rate=9 / SERVICE, cost=cost, seconds=50.0)
        self.assertEqual(record.counts["good"], record.offered())
        self.assertLess(record.percentile(99), 5 * SERVICE)

    def test_one_caller_in_turn_beats_many_who_do_not_know_each_other(self):
        alone = run(servers=8, rate=0.8 * 8 / SERVICE, clients=1).percentile(99)
        many = run(servers=8, rate=0.8 * 8 / SERVICE, clients=200).percentile(99)
        self.assertLess(2 * alone, many)

    def test_slow_server_gets_what_its_speed_is_worth(self):
        def share(policy):
            servers = []
            run(policy, speeds=[0.5, 1.0, 1.0], rate=0.55 * 2.5 / SERVICE, clients=4, deadline=5.0,
                before=lambda cluster: servers.extend(cluster.addresses))
            return servers[0].admitted / sum(server.admitted for server in servers)
        self.assertAlmostEqual(share("round robin"), 1 / 3, delta=0.05)
        self.assertAlmostEqual(share("weighted by load reports"), 0.5 / 2.5, delta=0.05)

    def test_strides_follow_the_weights(self):
        balancer = WeightedRoundRobin(random.Random(1))
        balancer.see(["a", "b", "c"], 0.0)
        balancer.reports = {"a": (0.0, 1.0), "b": (0.0, 2.0)}  # nothing known of c: the mean
        balancer.update(10.0)
        picks = [balancer.pick(10.0) for _ in range(9000)]
        for server, expected in (("a", 2000), ("b", 4000), ("c", 3000)):
            self.assertAlmostEqual(picks.count(server), expected, delta=2)

    def test_quota_stops_work_until_the_next_period(self):
        quota = Quota(cpus=0.3, period=0.1)
        self.assertAlmostEqual(quota.end(0.02, 0.02), 0.04)
        self.assertAlmostEqual(quota.end(0.05, 0.05), 0.21)  # 10 ms, 30 ms from 0.1 on, 10 ms from 0.2 on
        self.assertAlmostEqual(quota.end(0.21, 0.015), 0.225)
        self.assertAlmostEqual(quota.end(0.23, 0.01), 0.305)
        self.assertAlmostEqual(quota.end(5.0, 0.01), 5.01)

    def test_overload_is_refused_and_the_rest_is_in_time(self):
        record = run(rate=3 / SERVICE, deadline=0.2)
        self.assertGreater(record.goodput(), 0.9 / SERVICE)
        self.assertGreater(record.counts["refused"], 0)
        self.assertEqual(record.counts["late"], 0)

    def test_retries_hide_a_server_that_dies(self):
        def kill_one(cluster):
            cluster.after(60.0, lambda: cluster.kill(cluster.addresses[0]))
        record = run(servers=4, rate=0.5 * 4 / SERVICE, deadline=5.0, before=kill_one)
        self.assertEqual(record.counts["good"], record.offered())

    def test_calls_to_a_silent_server_are_late_until_it_is_given_up(self):
        def silence_one(cluster):
            cluster.after(60.0, lambda: cluster.kill(cluster.addresses[0], silent=True))
        rate = 0.5 * 4 / SERVICE
        record = run(servers=4, rate=rate, deadline=1.0, before=silence_one)
        expected = ClientOptions().silence_seconds * rate / 4
        self.assertAlmostEqual(record.counts["late"] / expected, 1, delta=0.1)

    def test_restart_that_outruns_the_resolver_is_felt_and_a_slower_one_is_not(self):
        def refused(pause):
            def restart(cluster):
                cluster.env.process(cluster.rolling_restart(30.0, pause, 1.0))
            return run(servers=4, rate=0.6 * 4 / SERVICE, deadline=1.0, before=restart).counts["refused"]
        self.assertGreater(refused(8.0), 100)
        self.assertEqual(refused(31.0), 0)

    def test_same_seed_same_world(self):
        first, second = (run("least request", servers=3, rate=200.0, seconds=20.0) for _ in range(2))
        self.assertEqual(first.latencies, second.latencies)


def main():
    if missing:
        print("skipped: the Python package simpy >= 3 is not installed")
        return SKIPPED
    return 0 if unittest.main(exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
