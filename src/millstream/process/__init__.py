"""A process among others: its name, its beats, its health, and how it waits and stops."""
