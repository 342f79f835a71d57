"""The engine's names that the client needs: those of this checkout, or of an older one that is measured beside it.

Until 5b934e2 the packages lay elsewhere and a submission was a tuple.
"""

try:
    from millstream.protocol.keys import Keys
    from millstream.protocol.run import Submit
    from millstream.store import Store
    from millstream.workflow.definition import WorkflowDefinition, normalise
    from millstream.workflow.plan import Plan

    def submission(keys: Keys, run_id: str, text: bytes, ids: list[str]) -> Submit:
        return Submit(run=keys.of(run_id), text=text, ids=ids)

except ImportError:
    from millstream.definition import WorkflowDefinition, normalise  # type: ignore[import-not-found,no-redef]
    from millstream.keys import Keys  # type: ignore[import-not-found,no-redef]
    from millstream.plan import Plan  # type: ignore[import-not-found,no-redef]
    from millstream.store.store import Store  # type: ignore[import-not-found,no-redef]
    from millstream.store.transitions import Submit  # type: ignore[import-not-found,no-redef]

    def submission(keys: Keys, run_id: str, text: bytes, ids: list[str]) -> Submit:
        names = keys.status(run_id), keys.run(run_id), keys.definition(run_id)  # type: ignore[attr-defined]
        return Submit(*names, run_id, text, ids)  # type: ignore[call-arg]


__all__ = ["Keys", "Plan", "Store", "Submit", "WorkflowDefinition", "normalise", "submission"]
