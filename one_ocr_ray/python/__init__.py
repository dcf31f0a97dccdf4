"""What Python programs use: runs, datasets and a service's tasks. The names are exported by `one_ocr_ray` itself."""
