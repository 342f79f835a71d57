import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.errors import UnreadableMessageError
from millstream.protocol.formats import NEWEST, OLDEST
from millstream.protocol.messages import TaskMessage, hints, pack_task, unpack_report, unpack_task
from millstream.workflow.plan import ROOT, SUBMITTED, Open, OpenedTask, Plan, decide

RUN = "7d0f6f0e-5d5c-4c5e-9a6b-0c9c6c0f1b55"
NAMES = [f"t{n}" for n in range(6)]


def opened(plan: Plan) -> OpenedTask:
    (step,) = decide(plan, ROOT, SUBMITTED, failed=False)
    assert isinstance(step, Open)
    return step.tasks[0]


def chain() -> Plan:
    return Plan([{"type": "sequential", "tasks": NAMES}])


def unpack(packed: bytes, *epoch: bytes) -> TaskMessage:
    return unpack_task(b"5-1", [b"m", packed, *epoch])


def changed(**fields: object) -> bytes:
    return orjson.dumps({**orjson.loads(pack_task(RUN, 1, opened(chain()))), **fields})


@given(
    life=st.integers(1, 9), name=st.text('aä"\\ \n\0€', min_size=1, max_size=200), epoch=st.integers(2, 99)
)
def test_a_task_message_reads_as_it_was_written(life: int, name: str, epoch: int) -> None:
    plan = Plan([{"type": "parallel", "tasks": [{"task": name, "id": "x"}, "y"]}])
    packed = pack_task(RUN, life, opened(plan))
    message = unpack(packed, b"e", b"%d" % epoch)
    assert message == TaskMessage(
        version=1, entry=b"5-1", packed=packed, run_id=RUN, life=life, epoch=epoch, task=0, id="x", name=name,
        gate=1, at=0, counts=1, last=1, following=[],
    )  # fmt: skip


def test_a_task_message_without_an_epoch_has_the_first() -> None:
    assert unpack(pack_task(RUN, 1, opened(chain()))).epoch == 1


def test_the_chain_of_successors_is_what_the_scheduler_would_have_written() -> None:
    plan = chain()
    first = opened(plan)
    packed, tasks = pack_task(RUN, 3, first), [first.task, *first.following]
    for n, task in enumerate(tasks):
        assert packed == pack_task(RUN, 3, OpenedTask(task, tuple(tasks[n + 1 :]), last=True))
        packed = unpack(packed).successor()
    assert packed == b""


def test_a_successor_begins_at_the_first_epoch() -> None:
    assert unpack(unpack(pack_task(RUN, 1, opened(chain())), b"e", b"4").successor()).epoch == 1


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
        unpack_task(b"5-1", fields)


@pytest.mark.parametrize("version", [NEWEST + 1, OLDEST - 1, "1", None])
def test_a_task_message_of_another_version_says_so(version: object) -> None:
    with pytest.raises(UnreadableMessageError, match=f"this version reads {OLDEST} to {NEWEST}"):
        unpack(changed(v=version))


def fields(**values: bytes) -> list[bytes]:
    return [part for name, value in values.items() for part in (name.encode(), value)]


REPORT = {"v": b"1", "run": RUN.encode(), "life": b"2", "gate": b"7", "at": b"3", "failed": b"1"}


@pytest.mark.parametrize(("word", "failed"), [(b"1", True), (b"0", False)])
def test_a_report_says_how_far_a_gate_has_come(word: bytes, failed: bool) -> None:
    report = unpack_report("reports", b"9-0", fields(**{**REPORT, "failed": word}))
    assert (report.stream, report.entry, report.run_id, report.life) == ("reports", b"9-0", RUN, 2)
    assert (report.gate, report.at, report.failed) == (7, 3, failed)
    assert report.definition is None
    assert report.decision == "7.3"


def test_a_submission_is_the_root_before_its_first_child() -> None:
    report = unpack_report("workflows", b"9-0", fields(v=b"1", run=RUN.encode(), definition=b"[]"))
    assert (report.gate, report.at, report.failed, report.life) == (ROOT, SUBMITTED, False, 1)
    assert report.definition == b"[]"
    assert report.decision == "0.-1"


@pytest.mark.parametrize("missing", REPORT)
def test_a_report_without_one_of_its_fields_cannot_be_read(missing: str) -> None:
    left = {name: value for name, value in REPORT.items() if name != missing}
    with pytest.raises(UnreadableMessageError, match="9-0"):
        unpack_report("reports", b"9-0", fields(**left))


@pytest.mark.parametrize(
    ("name", "value"), [("v", b"2"), ("v", b""), ("run", b"\xff"), ("life", b"x"), ("gate", b"1.5")]
)
def test_a_report_with_another_version_or_a_wrong_field_cannot_be_read(name: str, value: bytes) -> None:
    with pytest.raises(UnreadableMessageError, match="reports"):
        unpack_report("reports", b"9-0", fields(**{**REPORT, name: value}))


def test_a_report_with_a_name_and_no_value_cannot_be_read() -> None:
    with pytest.raises(UnreadableMessageError):
        unpack_report("reports", b"9-0", [*fields(**REPORT), b"more"])


@pytest.mark.parametrize("epoch", ["²", "9" * 5000, "-1", "", "x"])
def test_hints_never_stumble(epoch: str) -> None:
    assert hints([b"m", b"[1]", b"e", epoch.encode()]).epoch == 1
