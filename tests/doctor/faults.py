"""Every fault that the doctor knows: how it is planted, and what else it must bring to light."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from doctor import plants, plants_in_runs
from doctor.world import World


class Fault(NamedTuple):
    """`kinds` is all that the doctor then finds; `plant` gives a word that the finding must say."""

    plant: Callable[[World], Awaitable[str]]
    kinds: dict[str, int]


FAULTS: dict[str, dict[str, Fault]] = {
    "no live scheduler": {"": Fault(plants.no_scheduler, {"no live scheduler": 1})},
    "no live runner": {"": Fault(plants.no_runner, {"no live runner": 1})},
    "no sweep": {
        "lately": Fault(plants.no_sweep, {"no sweep": 1}),
        "ever": Fault(plants.a_sweep_that_never_was, {"no sweep": 1}),
    },
    "dead process listed": {
        "silent": Fault(plants.a_name_without_a_beat, {"dead process listed": 1}),
        "of an api": Fault(plants.an_api_without_a_beat, {"dead process listed": 1}),
        "from the future": Fault(plants.a_beat_from_the_future, {"dead process listed": 1}),
    },
    "dead consumer": {"": Fault(plants.an_idle_consumer_of_the_dead, {"dead consumer": 1})},
    "group missing": {
        "group": Fault(plants.no_group, {"group missing": 1}),
        "stream": Fault(plants.no_stream, {"group missing": 1}),
    },
    "entry for nobody": {"": Fault(plants.a_consumer_deleted_by_hand, {"entry for nobody": 2, "stuck": 1})},
    "unreadable entry": {
        "message": Fault(plants.an_unreadable_message, {"unreadable entry": 1}),
        "report": Fault(plants.an_unreadable_report, {"unreadable entry": 1}),
    },
    "pending for the dead": {
        "tasks": Fault(plants.tasks_of_the_dead, {"pending for the dead": 1}),
        "submission": Fault(plants.a_submission_of_the_dead, {"pending for the dead": 1}),
    },
    "pending without entry": {
        "": Fault(plants.a_pending_entry_deleted, {"pending without entry": 1, "task without message": 1})
    },
    "stuck": {
        "tasks": Fault(plants_in_runs.all_messages_gone, {"stuck": 1}),
        "submission": Fault(plants_in_runs.a_lost_submission, {"stuck": 1}),
        "report": Fault(plants_in_runs.a_lost_report, {"stuck": 1}),
        "unlisted": Fault(plants_in_runs.a_stuck_run_that_no_index_lists, {"stuck": 1, "not listed": 1}),
    },
    "task without message": {
        "gone": Fault(plants_in_runs.one_message_gone, {"task without message": 1}),
        "of an old epoch": Fault(plants_in_runs.only_an_old_epochs_message, {"task without message": 1}),
    },
    "parts missing": {
        "definition": Fault(plants_in_runs.no_definition, {"parts missing": 1}),
        "status": Fault(plants_in_runs.a_task_not_in_the_status_map, {"parts missing": 1}),
        "record of another type": Fault(plants_in_runs.a_record_that_is_none, {"parts missing": 1}),
        "status of another type": Fault(plants_in_runs.a_status_map_that_is_none, {"parts missing": 1}),
    },
    "not listed": {"": Fault(plants_in_runs.a_run_that_no_index_lists, {"not listed": 1})},
    "wrong count": {
        "too high": Fault(plants_in_runs.a_count_too_high, {"wrong count": 1}),
        "none": Fault(plants_in_runs.no_count, {"wrong count": 1}),
        "nested": Fault(plants_in_runs.a_count_that_a_nested_gate_has_left_behind, {"wrong count": 1}),
    },
    "timer without run": {
        "gone": Fault(plants.a_timer_of_a_run_that_is_gone, {"timer without run": 1}),
        "ended": Fault(plants.a_timer_of_a_run_that_has_ended, {"timer without run": 1}),
        "epoch": Fault(plants.a_timer_of_another_epoch, {"timer without run": 1}),
        "running": Fault(plants.a_timer_of_a_task_that_runs, {"timer without run": 1}),
        "request of a run that is gone": Fault(
            plants.a_request_for_a_run_that_is_gone, {"timer without run": 1}
        ),
        "request in another life": Fault(plants.a_request_in_another_life, {"timer without run": 1}),
    },
    "overdue timer": {
        "of a task": Fault(plants.an_overdue_timer, {"overdue timer": 1}),
        "of a request": Fault(plants.an_overdue_request, {"overdue timer": 1}),
    },
    "unreadable timer": {
        "of no kind": Fault(plants.an_unreadable_timer, {"unreadable timer": 1}),
        "of a request": Fault(plants.an_unreadable_request, {"unreadable timer": 1}),
    },
    "listed without run": {
        "running": Fault(plants_in_runs.a_running_run_without_keys, {"listed without run": 1}),
        "nowhere else": Fault(plants_in_runs.a_run_that_only_the_listing_knows, {"listed without run": 1}),
        "ended": Fault(plants_in_runs.an_ended_run_without_keys, {"listed without run": 1}),
    },
    "listed wrongly": {"": Fault(plants_in_runs.an_ended_run_listed_as_running, {"listed wrongly": 1})},
    "not trimmed": {"": Fault(plants_in_runs.an_ended_run_past_its_retention, {"not trimmed": 1})},
    "key without TTL": {
        "ended": Fault(plants_in_runs.a_status_map_for_ever, {"key without TTL": 1}),
        "unknown": Fault(plants_in_runs.an_outcome_of_nobody, {"key without TTL": 1}),
        "no run": Fault(plants_in_runs.a_hash_that_is_no_run, {"key without TTL": 1}),
    },
    "key outlives its run": {
        "apart": Fault(plants_in_runs.keys_that_expire_apart, {"key outlives its run": 1}),
        "left": Fault(plants_in_runs.a_part_left_over, {"key outlives its run": 1}),
    },
    "running run expires": {"": Fault(plants_in_runs.a_running_run_that_expires, {"running run expires": 1})},
    "engine key expires": {"": Fault(plants_in_runs.an_engine_key_that_expires, {"engine key expires": 1})},
    "dead letter": {"": Fault(plants.a_dead_letter, {"dead letter": 1})},
}
