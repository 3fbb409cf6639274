"""Clients and servers in simulated time (SimPy): who is known to whom, retries, restarts, the loss of a zone."""

import dataclasses
import random

import simpy
from balancers import POLICIES
from cost import Cost
from replica import Replica, Request, ServerOptions


@dataclasses.dataclass(frozen=True)
class Load:
    rate: float                  # requests a second of all clients, Poisson
    lengths: list[int]           # tokens of a request: one of these, each as likely
    deadline: float = 0.25       # seconds
    clients: int = 20            # processes with a channel each
    poisson: bool = True         # False: equal gaps


@dataclasses.dataclass(frozen=True)
class ClientOptions:
    """As client/channel.cc has them."""
    attempts: int = 4
    first_backoff: float = 0.1
    most_backoff: float = 1.0
    jitter: float = 0.2
    resolve_seconds: float = 30.0  # at least, between two resolutions of the name: gRPC's default
    silence_seconds: float = 20.0  # until a connection whose peer fell silent is given up


class Record:
    """What became of the requests that were due in the measured time."""

    def __init__(self, start: float, end: float, bin_seconds: float):
        self.start, self.end, self.bin_seconds = start, end, bin_seconds
        self.latencies = []
        self.counts = dict.fromkeys(("good", "late", "refused", "lost"), 0)
        self.bins = []  # for each bin: what self.counts has, and the latencies

    def add(self, outcome: str, due: float, latency: float) -> None:
        if not self.start <= due < self.end:
            return
        self.counts[outcome] += 1
        at = int((due - self.start) / self.bin_seconds)
        while len(self.bins) <= at:
            self.bins.append((dict.fromkeys(self.counts, 0), []))
        self.bins[at][0][outcome] += 1
        if outcome in ("good", "late"):
            self.latencies.append(latency)
            self.bins[at][1].append(latency)

    def offered(self) -> int:
        return sum(self.counts.values())

    def goodput(self) -> float:
        """Requests a second that were answered in time."""
        return self.counts["good"] / (self.end - self.start)

    def percentile(self, percent: float) -> float:
        return percentile(self.latencies, percent)


def percentile(values: list[float], percent: float) -> float:
    """NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(percent / 100 * len(ordered)))]


class Client:
    def __init__(self, cluster: "Cluster", balancer):
        self.cluster, self.balancer = cluster, balancer
        self.known = []
        self.given_up = set()  # silent servers
        self.resolved_at = float("-inf")
        self.will_resolve = False

    def resolve(self) -> None:
        self.will_resolve = False
        self.resolved_at = self.cluster.env.now
        self.known = list(self.cluster.addresses)
        self.look()

    def look(self) -> None:
        """Health watches and connections tell at once who serves; of a silent server nothing comes."""
        ready = [server for server in self.known
                 if (server.alive and server.serving) or (server.silent and server not in self.given_up)]
        self.balancer.see(ready, self.cluster.env.now)

    def lost_connection(self) -> None:
        """gRPC resolves the name anew, but not too often."""
        self.look()
        if self.will_resolve:
            return
        self.will_resolve = True
        wait = self.resolved_at + self.cluster.client_options.resolve_seconds - self.cluster.env.now
        self.cluster.after(max(0.0, wait), self.resolve)

    def send(self, request: Request) -> None:
        request.attempts += 1
        if not self.balancer.servers:
            self.unavailable(request)
            return
        server = self.balancer.pick(self.cluster.env.now)
        request.server = server
        self.balancer.started(server)
        if server.silent:
            self.cluster.after(max(0.0, request.deadline - self.cluster.env.now), lambda: self.expired(request))
        elif not server.alive:
            self.unavailable(request)
        elif not server.offer(request):
            self.end(request, "refused")

    def end(self, request: Request, outcome: str) -> None:
        now = self.cluster.env.now
        if request.server is not None:
            self.balancer.ended(request.server, now)
        latency = now - request.due + self.cluster.cost.overhead
        if outcome == "good" and latency > request.deadline - request.due:
            outcome = "late"
        self.cluster.record.add(outcome, request.due, latency)

    def answered(self, request: Request) -> None:
        self.end(request, "good")

    def expired(self, request: Request) -> None:
        self.end(request, "late")

    def unavailable(self, request: Request) -> None:
        options = self.cluster.client_options
        if request.server is not None:
            self.balancer.ended(request.server, self.cluster.env.now)
            request.server = None
        backoff = min(options.first_backoff * 2 ** (request.attempts - 1), options.most_backoff)
        backoff *= 1 + options.jitter * (2 * self.cluster.source.random() - 1)
        if request.attempts == options.attempts or self.cluster.env.now + backoff > request.deadline:
            self.end(request, "lost")
            return
        self.cluster.after(backoff, lambda: self.send(request))


class Cluster:
    def __init__(self, cost: Cost, load: Load, policy: str, speeds: list[float], seed: int = 1,
                 server_options: ServerOptions = ServerOptions(), client_options: ClientOptions = ClientOptions()):
        self.env = simpy.Environment()
        self.source = random.Random(seed)
        self.cost, self.load = cost, load
        self.server_options, self.client_options = server_options, client_options
        self.record = None
        self.addresses = [self.start_replica(speed) for speed in speeds]
        self.clients = [Client(self, POLICIES[policy](self.source)) for _ in range(load.clients)]
        for client in self.clients:
            client.resolve()

    def start_replica(self, speed: float = 1.0) -> Replica:
        return Replica(self.env, self.cost, self.server_options, self.source, speed)

    def after(self, delay: float, action) -> None:
        self.env.timeout(delay).callbacks.append(lambda _: action())

    def arrivals(self):
        gap = 1 / self.load.rate
        while self.env.now < self.record.end:
            yield self.env.timeout(self.source.expovariate(self.load.rate) if self.load.poisson else gap)
            client = self.clients[self.source.randrange(len(self.clients))]
            now = self.env.now
            tokens = self.load.lengths[self.source.randrange(len(self.load.lengths))]
            client.send(Request(now, tokens, now + self.load.deadline, client))

    def run(self, warm_up: float, seconds: float, bin_seconds: float = 1.0) -> Record:
        """What becomes of the requests due in SECONDS after WARM_UP; they are waited for."""
        start = self.env.now + warm_up
        self.record = Record(start, start + seconds, bin_seconds)
        self.env.process(self.arrivals())
        self.env.run(until=start + seconds + self.load.deadline)
        return self.record

    # What happens to servers.

    def tell_clients(self, lost: bool) -> None:
        for client in self.clients:
            (client.lost_connection if lost else client.look)()

    def add(self, replica: Replica) -> None:
        """Its address is in DNS; clients learn it when they resolve the name."""
        self.addresses.append(replica)

    def drain(self, replica: Replica, delay: float) -> None:
        """NOT_SERVING at once, gone when DELAY is over and what was admitted is answered."""
        replica.serving = False
        if replica in self.addresses:
            self.addresses.remove(replica)
        self.tell_clients(lost=False)
        self.after(delay, lambda: self.kill(replica))

    def kill(self, replica: Replica, silent: bool = False) -> None:
        if replica in self.addresses:
            self.addresses.remove(replica)
        lost = replica.kill(silent)
        self.tell_clients(lost=not silent)
        for request in lost:
            if silent:
                self.after(max(0.0, request.deadline - self.env.now), lambda r=request: r.client.expired(r))
            else:
                request.client.unavailable(request)
        if silent:
            self.after(self.client_options.silence_seconds, lambda: self.give_up(replica))

    def give_up(self, replica: Replica) -> None:
        for client in self.clients:
            client.given_up.add(replica)
            client.lost_connection()

    def rolling_restart(self, start: float, pause: float, drain_delay: float):
        """One new server, ready at once, then one old one drained, and after PAUSE the next."""
        yield self.env.timeout(start)
        for old in list(self.addresses):
            self.add(self.start_replica(old.speed))
            self.drain(old, drain_delay)
            yield self.env.timeout(pause)
