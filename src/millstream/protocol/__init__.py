"""What processes write for one another: keys, messages, records of runs, and the calls of scripts. Pure.

Calls lie in a module for each subject, as their scripts lie in folders: `run`, `gate`, `task`, `message`, `process`,
`trim` and `read`.
"""
