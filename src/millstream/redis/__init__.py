"""The way to Redis: connections, batches of calls, and the reader of a consumer group."""
