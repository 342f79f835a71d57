"""What processes write for one another: keys, messages, records of runs, and the calls that change them. Pure."""
