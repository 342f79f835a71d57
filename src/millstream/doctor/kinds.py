"""What can be wrong: each kind of finding with what it means and what to do about it."""

from typing import Final, NamedTuple


class Kind(NamedTuple):
    """A kind of finding: which check looks for it, what it means, what to do."""

    check: str
    means: str
    remedy: str


CHECKS: Final = {
    "redis": "servers",
    "processes": "live processes",
    "streams": "entries",
    "pending": "pending entries",
    "runs": "runs that have not ended",
    "gates": "open gates",
    "timers": "timers",
    "indices": "index entries",
    "keys": "keys",
    "dead letters": "dead letters",
}
_REMOVE_RUN: Final = (
    "First mend what `streams` and `pending` find. Post its workflow again, then remove it: DEL run:<run_id> workflow:<run_id> run:<run_id>:definition "
    "run:<run_id>:outcomes, and ZREM its run_id from runs and runs:running."
)
KINDS: Final = {
    # redis
    "eviction": Kind(
        "redis",
        "Redis deletes runs when memory is short, and services refuse to start.",
        "CONFIG SET maxmemory-policy noeviction, and the same in its configuration.",
    ),
    # processes
    "no live scheduler": Kind(
        "processes",
        "Runs wait and no scheduler lives: no gate opens, no run ends, nothing is taken over from the dead.",
        "Start `millstream scheduler`, and see in its log why the last one ended.",
    ),
    "no live runner": Kind(
        "processes",
        "Runs wait and no runner lives: no task is executed.",
        "Start `millstream runner`, and see in its log why the last one ended.",
    ),
    "no sweep": Kind(
        "processes",
        "A scheduler beats but does not look for the dead: what a dead process holds stays with it.",
        "Restart the schedulers; whatever they hold is given back.",
    ),
    "dead process listed": Kind(
        "processes",
        "A process has not beaten for a lease and no sweep has removed it, although a scheduler lives.",
        "Compare MILLSTREAM_LEASE_SECONDS here and in the schedulers; if it is the same, restart the schedulers.",
    ),
    "dead consumer": Kind(
        "processes",
        "A consumer of a process that is gone is left in its group, although a scheduler lives.",
        "Restart the schedulers. By hand, when nothing is pending for it: XGROUP DELCONSUMER.",
    ),
    # streams
    "group missing": Kind(
        "streams",
        "A stream or its consumer group is missing, so nobody can read it.",
        "Restart any service: it makes the group again, from the stream's start.",
    ),
    "entry for nobody": Kind(
        "streams",
        "A message was handed out and is pending for no one (a consumer was deleted by hand?): nobody reads it.",
        "XCLAIM <stream> <group> nobody 0 <entry> FORCE JUSTID: the next sweep takes it over from `nobody`.",
    ),
    "unreadable entry": Kind(
        "streams",
        "A message cannot be understood, and no live process has put it among the dead letters.",
        "See that schedulers and runners live; they put it aside as soon as they read it.",
    ),
    # pending
    "pending for the dead": Kind(
        "pending",
        "A process without a beat holds messages, and no sweep takes them: their tasks and runs stand still.",
        "See that a scheduler lives, and that its MILLSTREAM_LEASE_SECONDS is the same as here.",
    ),
    "pending without entry": Kind(
        "pending",
        "A message is pending, but no longer in its stream (deleted by hand?).",
        "See below whether its run stands still. Then XACK <stream> <group> <entry>.",
    ),
    # runs
    "stuck": Kind(
        "runs",
        "The run has not ended and nothing is pending for it (no message, no report, no timer): it stands for ever. "
        "Redis has lost data, or somebody has deleted some.",
        _REMOVE_RUN,
    ),
    "task without message": Kind(
        "runs",
        "Tasks are open and no message for them exists, so they will never be executed and the run will not end.",
        _REMOVE_RUN,
    ),
    "parts missing": Kind(
        "runs",
        "The run has not ended, and a part of what is kept of it is gone or cannot be read.",
        _REMOVE_RUN,
    ),
    "not listed": Kind(
        "runs",
        "The run has not ended and the index of such runs does not list it: it is missing in listings.",
        "ZADD runs:running <its field `created`> <run_id>, and the same in runs.",
    ),
    # gates
    "wrong count": Kind(
        "gates",
        "A parallel gate waits for another number of children than have not ended: it closes too early or never.",
        _REMOVE_RUN,
    ),
    # timers
    "timer without run": Kind(
        "timers",
        "A timer is about a task that does not wait for it: its run has ended or is gone, or it is of an older "
        "epoch or life. When it is due it is thrown away.",
        "Nothing has to be done, and nothing is harmed. ZREM timers <timer> removes it now.",
    ),
    "overdue timer": Kind(
        "timers",
        "A timer should have fired some time ago, and its task still waits.",
        "See that a scheduler lives and is not overloaded.",
    ),
    "unreadable timer": Kind(
        "timers",
        "A timer cannot be understood by this version.",
        "Upgrade, if a newer version wrote it; otherwise ZREM timers <timer>.",
    ),
    # indices
    "listed without run": Kind(
        "indices",
        "An index lists a run whose keys are gone (deleted by hand, or kept for longer since MILLSTREAM_RETENTION_SECONDS "
        "was raised).",
        "ZREM <index> <run_id>; what lists ended runs forgets it by itself after the retention.",
    ),
    "listed wrongly": Kind(
        "indices",
        "A run is not in the index of its state, or in that of another one.",
        "ZREM <wrong index> <run_id>, ZADD <right index> <time in ms> <run_id>.",
    ),
    "not trimmed": Kind(
        "indices",
        "An index lists a run past its retention, although a scheduler lives.",
        "Compare MILLSTREAM_RETENTION_SECONDS here and in the schedulers; if it is the same, restart them.",
    ),
    # keys
    "key without TTL": Kind(
        "keys",
        "A key of a run that has ended or is gone never expires: it stays for ever.",
        "Delete it: DEL <key>, unless the run's other keys tell you that you still want it.",
    ),
    "key outlives its run": Kind(
        "keys",
        "The keys of a run expire at different times, or a key is left of a run that is gone.",
        "PEXPIREAT them at one time, or DEL them.",
    ),
    "running run expires": Kind(
        "keys",
        "A run has not ended and a key of it will expire: then it cannot go on.",
        "PERSIST <key>, at once.",
    ),
    "engine key expires": Kind(
        "keys",
        "A key that the engine needs for ever will expire, with all that is in it.",
        "PERSIST <key>, at once.",
    ),
    # dead letters
    "dead letter": Kind(
        "dead letters",
        "A message that could not be understood, or a task that killed too many runners. Its run has gone on "
        "without it.",
        "Find the cause (the original fields: XRANGE <stream> <entry> <entry>). Once dealt with: XDEL <stream> <entry>; "
        "all at once: XTRIM <stream> MAXLEN 0.",
    ),
}
