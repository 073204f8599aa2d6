"""The benches: what is measured, against what, and how it is written down."""
