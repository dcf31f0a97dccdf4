"""The service for `serve run serve_app:app` and `serve deploy`; settings come from `ONE_OCR_*` of the nodes.

`one-ocr serve` is the same with flags. The book, which has the tasks read, is started by the first replica.
"""

from one_ocr_ray.cluster.serving import application
from one_ocr_ray.settings import load_service

app = application(load_service({}))
