"""A server: admission by deadline, a queue, workers that take batches, load reports. The rules are those of
docs/scheduling.md for one class and one tenant, whose requests have one input and equal deadlines."""

import collections
import dataclasses
import math
import random

import simpy
from cost import Cost


class Request:
    __slots__ = ("due", "tokens", "deadline", "client", "attempts", "server")

    def __init__(self, due: float, tokens: int, deadline: float, client):
        self.due, self.tokens, self.deadline, self.client = due, tokens, deadline, client
        self.attempts = 0
        self.server = None


class Quota:
    """So much CPU time in each period, as the kernel gives a control group: what is not used is gone, and what is
    missing is waited for."""

    def __init__(self, cpus: float, period: float):
        self.amount, self.period = cpus * period, period
        self.index, self.left = -1, 0.0

    def end(self, now: float, work: float) -> float:
        """When WORK seconds of CPU time that start NOW are done."""
        index = int(now / self.period)
        if index > self.index:
            self.index, self.left = index, self.amount
        now = max(now, self.index * self.period)
        while work > self.left:
            work -= self.left
            self.index, self.left = self.index + 1, self.amount
            now = self.index * self.period
        self.left -= work
        return now + work


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    workers: int = 1
    quota_cpus: float = 0.0    # 0: none. Then the servers' speed is this
    quota_period: float = 0.1  # the kernel's default
    max_queue_tokens: int = 262144
    kept_free: float = 0.1     # of the time to the deadline, for what is not predicted
    report_seconds: float = 0.5
    wait_of_one: float = 0.1   # a predicted wait that counts as much as all workers being busy
    smoothing_seconds: float = 1.0  # of that wait; 0: as it is at the moment of the report


class Replica:
    def __init__(self, env: simpy.Environment, cost: Cost, options: ServerOptions, source: random.Random,
                 speed: float = 1.0):
        self.env, self.cost, self.options, self.source = env, cost, options, source
        self.quota = Quota(options.quota_cpus, options.quota_period) if options.quota_cpus else None
        self.speed = options.quota_cpus or speed
        self.serving = True   # health says so
        self.alive = True
        self.silent = False   # gone without a word: its connections are not reset
        self.admitted = 0
        self.queue = collections.deque()
        self.queue_tokens = 0
        self.queue_seconds = 0.0  # predicted, for one worker
        self.running = {}         # worker: (requests, predicted end)
        self.idle = []
        self.window_start, self.busy, self.calls, self.errors = env.now, 0.0, 0, 0
        self.last = (0.0, 0.0, 0.0)  # calls and errors a second, utilization; of the last window
        self.smoothed, self.seen = 0.0, env.now  # the wait, and when it was looked at
        for worker in range(options.workers):
            env.process(self.work(worker))

    def seconds(self, requests: int, tokens: int, squares: int) -> float:
        return self.cost.batch(requests, tokens, squares) / self.speed

    def part(self, tokens: int) -> float:
        """What a request adds to full batches."""
        share = tokens / self.cost.max_batch_tokens
        return self.seconds(1, tokens, tokens * tokens) - self.cost.fixed / self.speed * max(0.0, 1 - share)

    def wait(self) -> float:
        """Predicted, of a request that arrives now."""
        now = self.env.now
        running = 0.0
        if not self.idle:
            running = min(max(0.0, end - now) for _, end in self.running.values()) if self.running else 0.0
        return running + self.queue_seconds / self.options.workers

    def offer(self, request: Request) -> bool:
        """False: refused, because the queue is full or the answer would come too late."""
        own = self.seconds(1, request.tokens, request.tokens ** 2)
        time_left = request.deadline - self.env.now
        refused = self.queue_tokens > 0 and self.queue_tokens + request.tokens > self.options.max_queue_tokens
        if refused or self.wait() + own > (1 - self.options.kept_free) * time_left:
            self.count(error=True)
            return False
        self.admitted += 1
        self.queue.append(request)
        self.queue_tokens += request.tokens
        self.queue_seconds += self.part(request.tokens)
        if self.idle:
            self.idle.pop().succeed()
        return True

    def take(self) -> tuple[list, int, int]:
        """The next batch: the queue's order, passing over what does not fit."""
        batch, tokens, squares, passed = [], 0, 0, []
        while self.queue and len(passed) < 32:
            request = self.queue.popleft()
            if batch and tokens + request.tokens > self.cost.max_batch_tokens:
                passed.append(request)
                continue
            self.queue_tokens -= request.tokens
            self.queue_seconds -= self.part(request.tokens)
            if request.deadline < self.env.now:
                self.count(error=True)
                request.client.expired(request)
                continue
            batch.append(request)
            tokens += request.tokens
            squares += request.tokens ** 2
        self.queue.extendleft(reversed(passed))
        if not self.queue:
            self.queue_seconds = 0.0  # no error of rounding stays
        return batch, tokens, squares

    def work(self, worker: int):
        while self.alive:
            if not self.queue:
                woken = self.env.event()
                self.idle.append(woken)
                yield woken
                continue
            batch, tokens, squares = self.take()
            if not batch:
                continue
            predicted = self.seconds(len(batch), tokens, squares)
            self.running[worker] = (batch, self.env.now + predicted)
            taken = predicted * self.cost.jitter(self.source)
            if self.quota:
                taken = self.quota.end(self.env.now, taken * self.speed) - self.env.now
            yield self.env.timeout(taken)
            if not self.alive:
                return  # kill() told the clients
            del self.running[worker]
            self.busy += taken
            for request in batch:
                self.count()
                request.client.answered(request)

    def count(self, error: bool = False) -> None:
        self.calls += 1
        self.errors += error

    def report(self) -> tuple[float, float, float]:
        """Calls and errors a second and the utilization, as server/services/load_reporter.h says."""
        elapsed = self.env.now - self.window_start
        if elapsed >= self.options.report_seconds:
            busy = min(1.0, self.busy / (elapsed * self.options.workers))
            self.last = (self.calls / elapsed, self.errors / elapsed, busy)
            self.window_start, self.busy, self.calls, self.errors = self.env.now, 0.0, 0, 0
        calls, errors, busy = self.last
        return calls, errors, busy + self.smoothed_wait() / self.options.wait_of_one

    def smoothed_wait(self) -> float:
        if self.options.smoothing_seconds == 0:
            return self.wait()
        passed = self.env.now - self.seen
        self.smoothed += (self.wait() - self.smoothed) * (1 - math.exp(-passed / self.options.smoothing_seconds))
        self.seen = self.env.now
        return self.smoothed

    def kill(self, silent: bool = False) -> list:
        """It is gone at once. What it had admitted, and nobody will answer."""
        self.alive = self.serving = False
        self.silent = silent
        lost = list(self.queue) + [request for batch, _ in self.running.values() for request in batch]
        self.queue.clear()
        self.running.clear()
        return lost
