"""Programs of the peers that bench_latency.py compares with; each runs in an environment of its own."""
