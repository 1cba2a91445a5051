"""One file, one Stage. A stage's module, staging model and DAG task share its name; stages never import each other."""
