"""What people submit, and what follows from it: pure, without Redis."""
