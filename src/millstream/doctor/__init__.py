"""`millstream doctor`: audits a live Redis from outside, and writes nothing."""
