"""The service for `serve run serve_app:app`; settings come from `ONE_OCR_*` variables. With flags: `one-ocr serve`."""

from one_ocr_ray.cluster.service.serving import build

app = build({})
