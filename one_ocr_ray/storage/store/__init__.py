"""The store itself, a folder or a bucket: URIs, objects, listings, and why a store refuses."""
