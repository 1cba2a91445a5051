"""Video files: decoding, indexing, cutting, encoding, rendering."""
