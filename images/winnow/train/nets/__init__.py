"""Networks of the tasks, from their specifications: sizes come from the data, no layer is built that nothing uses."""
