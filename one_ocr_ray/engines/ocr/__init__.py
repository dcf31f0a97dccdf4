"""The embedded OCR engine: ONNX models on the CPU, and what prepares images for them. No network."""
