"""Report: pages that a person reads, each one self-contained HTML file without scripts, fonts or styles from a
network."""
