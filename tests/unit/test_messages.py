import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.errors import UnreadableMessageError
from millstream.protocol import format1
from millstream.protocol.entries import Entry, hints
from millstream.protocol.formats import NEWEST, OLDEST
from millstream.protocol.keys import Keys
from millstream.protocol.messages import Delivery, TaskMessage, pack_task, placed, task_tail, unpack_task
from millstream.protocol.requests import GateCame, Request, unpack_request
from millstream.workflow.plan import ROOT, SUBMITTED, Open, OpenedTask, Plan, decide
from millstream.workflow.spec import TaskSpec

RUN = "7d0f6f0e-5d5c-4c5e-9a6b-0c9c6c0f1b55"
NAMES = [f"t{n}" for n in range(6)]
KEYS = Keys(0, 1)
BOTH = pytest.mark.parametrize("version", range(OLDEST, NEWEST + 1))
# As the version before wrote it: a chain of three, the first two tasks travelling together.
FORMAT_1 = (
    b'{"v":1,"run":"7d0f6f0e-5d5c-4c5e-9a6b-0c9c6c0f1b55","life":2,"task":0,"id":"a","name":"x","gate":1,"at":0,'
    b'"counts":0,"last":1,"following":[[1,"b","y"],[2,"c","y"]]}'
)


def opened(plan: Plan) -> OpenedTask:
    (step,) = decide(plan, ROOT, SUBMITTED, failed=False)
    assert isinstance(step, Open)
    return step.tasks[0]


def chain() -> Plan:
    return Plan([{"type": "sequential", "tasks": NAMES}])


def unpack(packed: bytes, *epoch: bytes) -> Delivery:
    return unpack_task(KEYS, Entry("tasks", b"5-1", [b"m", packed, *epoch]))


def request(stream: str, fields: list[bytes]) -> Request:
    return unpack_request(KEYS, Entry(stream, b"9-0", fields))


def changed(**fields: object) -> bytes:
    return orjson.dumps({**orjson.loads(pack_task(RUN, 1, opened(chain()))), **fields})


@BOTH
@given(
    life=st.integers(1, 9), name=st.text('aä"\\ \n\0€', min_size=1, max_size=200), epoch=st.integers(2, 99)
)
def test_a_task_message_reads_as_it_was_written(version: int, life: int, name: str, epoch: int) -> None:
    plan = Plan([{"type": "parallel", "tasks": [{"task": name, "id": "x"}, "y"]}])
    packed = pack_task(RUN, life, opened(plan), version)
    found = unpack(packed, b"e", b"%d" % epoch)
    spec = TaskSpec(number=0, id="x", name=name)  # type: ignore[arg-type]
    assert found.message == TaskMessage(
        version=version, run_id=RUN, life=life, task=spec, gate=1, at=0, counts=1, last=1, following=[]  # type: ignore[arg-type]
    )  # fmt: skip
    ref = found.ref
    assert (ref.run, ref.stream, ref.entry) == (KEYS.of(RUN), "tasks", b"5-1")
    assert (ref.life, ref.epoch, ref.task, ref.id) == (life, epoch, 0, "x")
    assert (ref.gate, ref.at, ref.counts, found.packed, found.alone) == (1, 0, 1, packed, 0)


def test_a_task_message_without_an_epoch_has_the_first() -> None:
    assert unpack(pack_task(RUN, 1, opened(chain()))).ref.epoch == 1


@BOTH
def test_the_chain_of_successors_is_what_the_scheduler_would_have_written(version: int) -> None:
    plan = chain()
    first = opened(plan)
    packed = pack_task(RUN, 3, first, version)
    for n, task in enumerate(plan.tasks):
        rest = tuple(after.spec for after in plan.tasks[n + 1 :])
        assert packed == pack_task(RUN, 3, OpenedTask(task, rest, last=True), version)
        packed = unpack(packed).message.successor()
    assert packed == b""


def test_a_successor_begins_at_the_first_epoch() -> None:
    after = unpack(pack_task(RUN, 1, opened(chain())), b"e", b"4").message.successor()
    assert unpack(after).ref.epoch == 1


def test_a_message_of_the_version_before_is_read_and_its_successor_is_what_that_version_writes() -> None:
    found = unpack(FORMAT_1, b"e", b"3", b"alone", b"1")
    assert (found.task.name, found.ref.id, found.ref.epoch, found.alone) == ("x", "a", 3, 1)
    assert [(spec.number, spec.id, spec.name) for spec in found.message.following] == [
        (1, "b", "y"),
        (2, "c", "y"),
    ]
    after = orjson.loads(found.message.successor())
    before = orjson.loads(FORMAT_1)
    assert after == before | {"task": 1, "id": "b", "name": "y", "at": 1, "following": [[2, "c", "y"]]}


def test_what_has_its_default_takes_no_room() -> None:
    (step,) = decide(Plan([{"type": "sequential", "tasks": ["a"]}, {"type": "sequential", "tasks": ["b"]}]), 0, -1, failed=False)  # fmt: skip
    assert isinstance(step, Open)
    tail = orjson.loads(b"{" + task_tail(placed(step.tasks[0]), NEWEST))
    assert tail == {"task": {"n": 0, "id": "a", "name": "a"}, "gate": 1, "at": 0}
    assert set(orjson.loads(b"{" + task_tail(placed(step.tasks[0]), format1.VERSION))) >= {"counts", "last"}


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [b"m"],
        [b"m", b""],
        [b"m", b"{"],
        [b"m", b"\xff"],
        [b"m", b"[]"],
        [b"m", b"7"],
        [b"m", b"null"],
        [b"m", b"{}"],
        [b"m", b'{"v": 1}'],
        [b"m", b'{"v": 1, "later": ' + b"[" * 5000 + b"]" * 5000 + b"}"],
        [b"m", b'{"v": 2, "later": ' + b"[" * 5000 + b"]" * 5000 + b"}"],
        [b"m", b"[" * 100_000],
        [b"m", changed(), b"e", b"two"],
        [b"m", changed(), b"e"],
    ],
)
def test_a_task_message_that_cannot_be_read_says_so(fields: list[bytes]) -> None:
    with pytest.raises(UnreadableMessageError, match="5-1"):
        unpack_task(KEYS, Entry("tasks", b"5-1", fields))


@pytest.mark.parametrize("version", [NEWEST + 1, OLDEST - 1, "1", None])
def test_a_task_message_of_another_version_says_so(version: object) -> None:
    with pytest.raises(UnreadableMessageError, match=f"this version reads {OLDEST} to {NEWEST}"):
        unpack(changed(v=version))


def fields(**values: bytes) -> list[bytes]:
    return [part for name, value in values.items() for part in (name.encode(), value)]


REPORT = {"v": b"1", "run": RUN.encode(), "life": b"2", "gate": b"7", "at": b"3", "failed": b"1"}


@pytest.mark.parametrize("kind", [{}, {"kind": b"gate"}], ids=["format 1", "format 2"])
@pytest.mark.parametrize(("word", "failed"), [(b"1", True), (b"0", False)])
def test_a_report_says_how_far_a_gate_has_come(word: bytes, failed: bool, kind: dict[str, bytes]) -> None:
    found = request("reports", fields(**{**REPORT, **kind, "failed": word}))
    assert (found.message.stream, found.message.entry, found.run, found.life) == (
        "reports", b"9-0", KEYS.of(RUN), 2,
    )  # fmt: skip
    assert found.asked == GateCame(7, 3, failed=failed)
    assert found.asked.decision == "7.3"


@pytest.mark.parametrize("kind", [{}, {"kind": b"submission"}], ids=["format 1", "format 2"])
def test_a_submission_is_the_root_before_its_first_child(kind: dict[str, bytes]) -> None:
    found = request("workflows", fields(v=b"1", run=RUN.encode(), definition=b"[]", **kind))
    assert found.asked == GateCame(ROOT, SUBMITTED, failed=False, definition=b"[]")
    assert found.life == 1
    assert found.asked.decision == "0.-1"


def test_a_request_of_an_unknown_kind_cannot_be_read() -> None:
    with pytest.raises(UnreadableMessageError, match="9-0"):
        request("reports", fields(**REPORT, kind=b"miracle"))


@pytest.mark.parametrize("missing", REPORT)
def test_a_report_without_one_of_its_fields_cannot_be_read(missing: str) -> None:
    left = {name: value for name, value in REPORT.items() if name != missing}
    with pytest.raises(UnreadableMessageError, match="9-0"):
        request("reports", fields(**left))


@pytest.mark.parametrize(
    ("name", "value"), [("v", b"9"), ("v", b""), ("run", b"\xff"), ("life", b"x"), ("gate", b"1.5")]
)
def test_a_report_with_another_version_or_a_wrong_field_cannot_be_read(name: str, value: bytes) -> None:
    with pytest.raises(UnreadableMessageError, match="reports"):
        request("reports", fields(**{**REPORT, name: value}))


def test_a_report_with_a_name_and_no_value_cannot_be_read() -> None:
    with pytest.raises(UnreadableMessageError):
        request("reports", [*fields(**REPORT), b"more"])


@pytest.mark.parametrize("epoch", ["²", "9" * 5000, "-1", "", "x"])
def test_hints_never_stumble(epoch: str) -> None:
    assert hints([b"m", b"[1]", b"e", epoch.encode()]).epoch == 1
