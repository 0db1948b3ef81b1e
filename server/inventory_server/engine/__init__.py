"""The batch engine: queue, one SERIALIZABLE transaction per batch (load, decide, save), verdicts."""
