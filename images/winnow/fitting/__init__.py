"""What is computed over several batches: fitted models, calibration, clustering, selection."""
