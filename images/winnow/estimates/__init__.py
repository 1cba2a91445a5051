"""Statistics that dbt's Python models call: agreement of raters, precision with its interval, Platt scaling."""
