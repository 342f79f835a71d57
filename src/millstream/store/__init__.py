"""The store: the only rooms that know Redis."""
