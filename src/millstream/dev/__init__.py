"""`millstream dev`: the whole engine on one machine, as child processes that come and go together."""
