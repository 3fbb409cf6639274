"""What a request costs a server: read from a file that measure_cost.py writes."""

import dataclasses
import json
import math
import random
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Cost:
    """Seconds. A batch takes fixed + per_token * tokens + per_square * squares, as server/batching/cost_model.h has
    it, and per_call for each of its requests: what the rest of the server does for it on the same CPU."""
    fixed: float
    per_token: float
    per_square: float
    per_call: float = 0.0
    overhead: float = 0.0  # of a call outside the server's CPU: network, client, threads that wake up
    sigma: float = 0.0     # of the logarithm of a batch's time
    max_batch_tokens: int = 512

    def batch(self, requests: int, tokens: int, squares: int) -> float:
        return self.fixed + self.per_token * tokens + self.per_square * squares + self.per_call * requests

    def of_request(self, lengths: list[int]) -> float:
        """The mean time of a request of these LENGTHS when batches are full: one over the capacity of a worker."""
        tokens = sum(lengths) / len(lengths)
        squares = sum(length * length for length in lengths) / len(lengths)
        return self.batch(1, tokens, squares) - self.fixed * (1 - tokens / self.max_batch_tokens)

    def jitter(self, source: random.Random) -> float:
        return math.exp(source.gauss(0, self.sigma)) if self.sigma else 1.0


def read(file: Path) -> tuple[Cost, list[int]]:
    """The cost and the lengths of the texts that it was measured with."""
    content = json.loads(file.read_text())
    names = {field.name for field in dataclasses.fields(Cost)}
    return Cost(**{name: value for name, value in content.items() if name in names}), content["lengths"]
