"""The rules of the protocol that can be switched off, to see what goes wrong without them."""

from enum import Enum


class Rule(Enum):
    """A rule, in a sentence."""

    EPOCH_AT_START = "a message of an older epoch starts nothing"
    EPOCH_AT_FINISH = "a report of an older epoch is refused"
    ACKNOWLEDGED_ONCE = "an outcome is recorded only if its message was still pending"
    ENDS_ONCE = "an outcome is recorded only for a task that has not ended"
    PROGRESS = "a step is taken only when the decision has come exactly that far"
    FINAL_PENDING = "a final step is taken only if its message was still pending"
    FINAL_ACKNOWLEDGES = "only the final step acknowledges"
    DEAD_OWNER = "a take-over checks that the owner has no beat"
    TAKE_OVER_EPOCH = "a take-over closes the old epoch"
    STICKY_DEATH = "a beat never revives a name"
    DEAD_STARTS_NOTHING = "a name without a beat starts nothing"
    OWN_PENDING = "a process looks for entries that are pending for it and that it does not hold"
    SWEEP_ALL = "a sweep covers names that have no beat at all"
    LEAVE_EMPTY = "a consumer is deleted only when nothing is pending for it"
    HAND_BACK_EPOCH = "a hand-back closes the old epoch"
    ONE_SCRIPT = "outcome and next message are one script"
    CLOSES_EPOCH = "whoever ends a task apart from its message closes its epoch"
    GIVEN_BACK_GOES = "a message of a task that was ended apart from it goes, even when it is given back"
    COUNT_FIRST = "a gate's count is set before any of its children can be counted"
    LOST_IF_STARTED = "a lost execution is counted only when the task was started"
    ALONE = "a task at its last chance is started alone"
    SUBMIT_ONCE = "the same submission again writes nothing"
    RUN_EXISTS = "nothing is written for a run that is gone or has ended"
    TIMER_ONCE = "a timer fires only for whoever removed it"
