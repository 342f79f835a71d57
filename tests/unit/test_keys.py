from collections import Counter
from random import Random
from uuid import UUID

import pytest
from redis.crc import key_slot

from millstream.protocol.keys import SLOTS, Keys, partition_of, slot, tags
from millstream.states import RunState

RUN = "7d0f6f0e-5d5c-4c5e-9a6b-0c9c6c0f1b55"


def spelled(keys: Keys) -> list[str]:
    """Every key of a partition: those of the partition, and those of one run."""
    fixed = [
        value for name, value in vars(keys).items() if isinstance(value, str) and not name.startswith("_")
    ]
    run = keys.of(RUN)
    return [*fixed, run.record, run.status, run.definition, run.outcomes]


def test_with_one_partition_keys_are_spelled_as_documented() -> None:
    keys = Keys(0, 1)
    assert (keys.workflows, keys.tasks, keys.reports, keys.catalog) == (
        "workflows",
        "tasks",
        "reports",
        "catalog",
    )
    run = keys.of(RUN)
    assert run.run_id == RUN
    assert run.status == f"workflow:{RUN}"
    assert run.record == f"run:{RUN}"
    assert run.definition == f"run:{RUN}:definition"
    assert run.outcomes == f"run:{RUN}:outcomes"
    assert keys.runs == "runs"
    assert {keys.runs_in(state) for state in RunState} == {f"runs:{state}" for state in RunState}


def test_the_index_of_each_state_has_the_name_that_the_scripts_use() -> None:
    keys = Keys(1, 3)
    for state in RunState:
        assert getattr(keys, f"runs_{state}") == keys.runs_in(state)


@pytest.mark.parametrize("partitions", [2, 3, 16, 100])
def test_partitions_spread_evenly_over_the_slots(partitions: int) -> None:
    for k, tag in enumerate(tags(partitions)):
        assert key_slot(tag.encode()) == slot(tag) == k * SLOTS // partitions


@pytest.mark.parametrize("partitions", [3, 16])
def test_every_key_of_a_partition_is_in_its_slot(partitions: int) -> None:
    for k in range(partitions):
        assert {key_slot(key.encode()) for key in spelled(Keys(k, partitions))} == {k * SLOTS // partitions}


@pytest.mark.parametrize("partitions", [1, 3])
def test_no_two_keys_are_spelled_the_same(partitions: int) -> None:
    keys = [key for k in range(partitions) for key in spelled(Keys(k, partitions))]
    assert len(set(keys)) == len(keys)


def test_the_tags_never_change_because_runs_are_kept_under_them() -> None:
    assert tags(3) == ("3560", "18403", "5405")


@pytest.mark.parametrize(("partitions", "partition"), [(1, 0), (3, UUID(RUN).int % 3), (16, 0x5)])
def test_a_run_stays_in_its_partition(partitions: int, partition: int) -> None:
    assert partition_of(RUN, partitions) == partition


@pytest.mark.parametrize("partitions", [3, 16])
def test_runs_spread_evenly_over_the_partitions(partitions: int) -> None:
    rng = Random(1)
    runs = [str(UUID(int=rng.getrandbits(128), version=4)) for _ in range(16_000)]
    counts = Counter(partition_of(run_id, partitions) for run_id in runs)
    assert set(counts) == set(range(partitions))
    assert max(counts.values()) < 1.15 * min(counts.values())


@pytest.mark.parametrize("text", ["", "7", "not-a-run", RUN + "0", "../" + RUN])
def test_what_is_no_run_id_has_no_partition(text: str) -> None:
    with pytest.raises(ValueError, match="UUID"):
        partition_of(text, 3)
