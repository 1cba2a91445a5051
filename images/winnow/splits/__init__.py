"""How splits are assigned; called by dbt's Python models."""
