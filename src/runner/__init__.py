"""The runner: reads task messages, executes them, reports back."""
