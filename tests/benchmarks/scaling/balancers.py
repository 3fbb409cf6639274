"""How a client chooses among the servers that it sees as ready. Each client has one, and knows of the servers only what
its own calls tell it."""

import random


class RoundRobin:
    def __init__(self, source: random.Random):
        self.source = source
        self.servers = []
        self.next = 0

    def see(self, servers: list, _now: float) -> None:
        self.servers = servers
        self.next = self.source.randrange(len(servers)) if servers else 0

    def pick(self, _now: float):
        self.next = (self.next + 1) % len(self.servers)
        return self.servers[self.next]

    def started(self, server) -> None:
        pass

    def ended(self, server, now: float) -> None:
        """A call to SERVER ended; its report, if any, came with it."""


class LeastRequest(RoundRobin):
    """Of two chosen at random the one with fewer of this client's calls (gRFC A48)."""

    def __init__(self, source: random.Random):
        super().__init__(source)
        self.under_way = {}

    def pick(self, _now: float):
        first, second = (self.servers[self.source.randrange(len(self.servers))] for _ in range(2))
        return second if self.under_way.get(second, 0) < self.under_way.get(first, 0) else first

    def started(self, server) -> None:
        self.under_way[server] = self.under_way.get(server, 0) + 1

    def ended(self, server, now: float) -> None:
        self.under_way[server] -= 1


class WeightedRoundRobin(RoundRobin):
    """By the load reports in the trailers of the calls (gRFC A58), with gRPC's static stride scheduler."""

    UPDATE_SECONDS = 1.0
    BLACKOUT_SECONDS = 1.0  # gRPC's default is 10
    FULL = 65535
    LEAST_OF_MEAN, MOST_OF_MEAN = 0.01, 10.0

    def __init__(self, source: random.Random):
        super().__init__(source)
        self.reports = {}  # server: (first seen, weight)
        self.strides = None
        self.sequence = source.randrange(1 << 20)
        self.updated = -self.UPDATE_SECONDS

    def see(self, servers: list, now: float) -> None:
        super().see(servers, now)
        self.reports = {server: self.reports[server] for server in servers if server in self.reports}
        self.update(now)

    def update(self, now: float) -> None:
        self.updated = now
        weights = []
        for server in self.servers:
            since, weight = self.reports.get(server, (now, 0.0))
            weights.append(weight if now - since >= self.BLACKOUT_SECONDS else 0.0)
        known = [weight for weight in weights if weight > 0]
        if len(known) < 2:
            self.strides = None  # as round robin
            return
        mean = sum(known) / len(known)
        bounded = [min(max(weight, self.LEAST_OF_MEAN * mean), self.MOST_OF_MEAN * mean) if weight > 0 else mean
                   for weight in weights]
        scale = self.FULL / max(bounded)
        self.strides = [max(1, round(weight * scale)) for weight in bounded]

    def pick(self, now: float):
        if now - self.updated >= self.UPDATE_SECONDS:
            self.update(now)
        if self.strides is None:
            return super().pick(now)
        while True:
            self.sequence += 1
            generation, i = divmod(self.sequence, len(self.servers))
            stride = self.strides[i]
            if (stride * generation + i * (self.FULL // 2)) % self.FULL >= self.FULL - stride:
                return self.servers[i]

    def ended(self, server, now: float) -> None:
        calls, errors, utilization = server.report()
        if calls <= 0 or utilization <= 0:
            return
        since = self.reports[server][0] if server in self.reports else now
        self.reports[server] = (since, calls / (utilization + errors / calls))


POLICIES = {"round robin": RoundRobin, "least request": LeastRequest, "weighted by load reports": WeightedRoundRobin}
