"""Long-lived processes: how they die together, how a cluster of workers is kept honest."""
