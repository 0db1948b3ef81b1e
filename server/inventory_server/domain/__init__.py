"""The rules: pure functions over immutable facts. Imports the standard library alone."""
