"""Commands that the command line loads when they are asked for; one module per subject."""
