"""The store, a folder or a bucket: URIs, objects, listings, and refusals."""
