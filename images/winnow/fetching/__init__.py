"""From an address to a local file: download, transport, egress policy, failures, media types."""
