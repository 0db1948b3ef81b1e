"""What the cases of docs/robustness.md share: a place to hurt, a load, what must hold afterwards."""
