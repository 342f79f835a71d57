"""The scheduler: opens gates, skips, ends runs. Any number of processes, no leader."""
