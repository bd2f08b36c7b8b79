"""What was measured: latency tables, where they are found, and the tasks and ledgers that keep evaluations honest."""
