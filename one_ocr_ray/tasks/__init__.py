"""The life of the service's tasks, without Ray and without HTTP."""
