"""The clients of a storm: some submit and try again, one looks whether what has ended stays ended."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx2

from trees import Stages

TIMEOUT = 3.0
WORKERS = 4
LOOK_SECONDS = 0.1
TERMINAL = {"success", "failed", "skipped", "cancelled"}


@dataclass
class Accepted:
    """A submission that was answered with a run_id."""

    stages: Stages
    at: float  # when the answer came, in seconds since the epoch


@dataclass
class Submissions:
    """What the clients know of their submissions."""

    accepted: dict[str, Accepted] = field(default_factory=dict)
    unanswered: list[Stages] = field(default_factory=list)  # each may be a run, or not
    refused: dict[int, int] = field(default_factory=dict)  # status of an answer → how often
    wrong: list[str] = field(default_factory=list)

    @property
    def attempts(self) -> int:
        return len(self.accepted) + len(self.unanswered) + self.refused.get(429, 0)


class Submitter:
    """Submits workflows at a bounded rate, each until it is accepted."""

    def __init__(self, port: Callable[[], int], workflows: list[Stages], rate: float) -> None:
        self.seen = Submissions()
        self._port = port
        self._workflows = workflows
        self._rate = rate
        self._next = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="submitter")
        self._http = httpx2.Client(timeout=TIMEOUT)

    def start(self) -> None:
        self._began = time.monotonic()
        self._workers = [self._pool.submit(self._work) for _ in range(WORKERS)]

    @property
    def left(self) -> int:
        return len(self._workflows) - len(self.seen.accepted)

    @property
    def working(self) -> bool:
        return not all(worker.done() for worker in self._workers)

    def stop(self) -> None:
        """Submit no more; raises what a worker died of."""
        self._stop.set()
        self._pool.shutdown()
        self._http.close()
        for worker in self._workers:
            worker.result()

    def _work(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                number, self._next = self._next, self._next + 1
            if number >= len(self._workflows):
                return
            self._stop.wait(max(0.0, self._began + number / self._rate - time.monotonic()))
            while not self._stop.is_set() and not self._submit(self._workflows[number]):
                self._stop.wait(0.2)  # before another try

    def _submit(self, stages: Stages) -> bool:
        """Try once; whether it is accepted, or so wrong that another try is of no use."""
        url = f"http://127.0.0.1:{self._port()}/workflow"
        try:
            answer = self._http.post(url, json={"workflow": stages})
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            return False  # it was never sent
        except httpx2.TransportError:
            self._note_unanswered(stages)
            return False
        if answer.status_code == 200:
            with self._lock:
                self.seen.accepted[answer.json()["run_id"]] = Accepted(stages, time.time())
            return True
        return self._refused(stages, answer)

    def _refused(self, stages: Stages, answer: httpx2.Response) -> bool:
        with self._lock:
            self.seen.refused[answer.status_code] = self.seen.refused.get(answer.status_code, 0) + 1
            if answer.status_code not in {429, 503}:
                self.seen.wrong.append(f"a submission was refused: {answer.status_code} {answer.text[:200]}")
                return True
        if answer.status_code == 503:  # Redis may have heard of it before it went away
            self._note_unanswered(stages)
        return False

    def _note_unanswered(self, stages: Stages) -> None:
        with self._lock:
            self.seen.unanswered.append(stages)


class Watcher:
    """Reads the status of accepted runs all the time: a task that has ended must stay as it ended."""

    def __init__(self, port: Callable[[], int], seen: Submissions, rng: random.Random) -> None:
        self.looks = 0
        self.wrong: list[str] = []
        self._port = port
        self._seen = seen
        self._rng = rng
        self._ended: dict[str, dict[str, str]] = {}
        self._stop = threading.Event()
        self._http = httpx2.Client(timeout=TIMEOUT)
        self._thread = threading.Thread(target=self._watch, name="watcher")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self.close()

    def close(self) -> None:
        self._http.close()

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            known = list(self._seen.accepted)
            if known:
                self._look(self._rng.choice(known[-100:]))

    def _look(self, run_id: str) -> None:
        try:
            answer = self._http.get(f"http://127.0.0.1:{self._port()}/workflow/{run_id}/status")
        except httpx2.TransportError:
            return
        if answer.status_code == 200:
            self.looks += 1
            self.compare(run_id, answer.json())

    def compare(self, run_id: str, status: dict[str, str]) -> None:
        before = self._ended.setdefault(run_id, {})
        for task, ended in before.items():
            if status.get(task) != ended:
                self.wrong.append(f"run {run_id}: {task} was {ended}, and later {status.get(task)}")
        before |= {task: now for task, now in status.items() if now in TERMINAL}
