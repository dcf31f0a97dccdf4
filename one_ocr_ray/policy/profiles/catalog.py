"""The known families of OCR models as data. Each entry says where its facts come from; they were read in 2026-11.

Scores and speeds do not belong here; a model that reads single regions is offered as a reader of whole pages only where
its authors do so.
"""

from __future__ import annotations

from one_ocr_ray.policy.profiles import prompts
from one_ocr_ray.profile import AnswerFormat, ModelProfile, PromptOrder

_CACHES_OFF = ("--no-enable-prefix-caching", "--mm-processor-cache-gb", "0")
# Of a context of 8192 tokens in all. A page takes up to 1,200 of it, and vLLM refuses a request for more than is left.
_REST_OF_8192 = 6900
_NO_THINKING = {"chat_template_kwargs": {"enable_thinking": False}}

PROFILES = (
    ModelProfile(
        "olmocr-2",
        ("olmocr-2",),
        prompts.OLMOCR,
        PromptOrder.TEXT_FIRST,
        answer=AnswerFormat.FRONT_MATTER,
        longest_side_px=1288,
        temperature=0.1,
        output_tokens=8000,
        server_args=("--max-model-len", "16384"),
        least_vllm="0.11.2",
        licence="Apache-2.0",
        source="https://github.com/allenai/olmocr",
    ),
    ModelProfile(
        "dots",
        ("dots.ocr", "dots.mocr"),
        prompts.DOTS,
        answer=AnswerFormat.LAYOUT_JSON,
        grid=None,
        temperature=0.1,
        output_tokens=16384,
        request_fields={"top_p": 1.0},
        server_args=("--chat-template-content-format", "string", "--trust-remote-code"),
        least_vllm="0.11",
        pin_revision=True,
        licence="MIT, and an agreement of its own",
        source="https://github.com/rednote-hilab/dots.ocr",
    ),
    ModelProfile(
        "deepseek-ocr",
        ("deepseek-ocr",),
        "<|grounding|>Convert the document to markdown.",
        answer=AnswerFormat.GROUNDING,
        grid=999,
        temperature=0.0,
        output_tokens=_REST_OF_8192,
        request_fields={
            "skip_special_tokens": False,
            "vllm_xargs": {"ngram_size": 30, "window_size": 90, "whitelist_token_ids": [128821, 128822]},
        },
        server_args=(
            "--logits-processors",
            "vllm.model_executor.models.deepseek_ocr:NGramPerReqLogitsProcessor",
            *_CACHES_OFF,
        ),
        least_vllm="0.12",
        licence="MIT; DeepSeek-OCR-2 Apache-2.0",
        source="https://github.com/deepseek-ai/DeepSeek-OCR",
    ),
    ModelProfile(
        "nanonets-ocr2",
        ("nanonets-ocr2", "nanonets-ocr-s"),
        prompts.NANONETS,
        temperature=0.0,
        output_tokens=15000,
        licence="the card names none; its base Qwen2.5-VL-3B is for research",
        source="https://huggingface.co/nanonets/Nanonets-OCR2-3B",
    ),
    ModelProfile(
        "chandra-2",
        ("chandra-ocr-2",),
        prompts.CHANDRA.replace("BBOX_SCALE", "1000"),
        answer=AnswerFormat.LAYOUT_HTML,
        temperature=0.0,
        output_tokens=12384,
        request_fields={"top_p": 0.1},
        server_args=("--max-model-len", "18000", "--enable-prefix-caching", "--gpu-memory-utilization", "0.85"),
        least_vllm="0.17",
        licence="modified OpenRAIL-M: free below 2 M USD of revenue or funding",
        source="https://github.com/datalab-to/chandra",
    ),
    ModelProfile(
        "chandra",
        ("chandra",),
        prompts.CHANDRA.replace("BBOX_SCALE", "1024"),
        answer=AnswerFormat.LAYOUT_HTML,
        grid=1024,
        temperature=0.0,
        output_tokens=12384,
        request_fields={"top_p": 0.1},
        server_args=("--max-model-len", "18000"),
        licence="modified OpenRAIL-M: free below 2 M USD of revenue or funding",
        source="https://github.com/datalab-to/chandra",
    ),
    ModelProfile(
        "lightonocr-3-1b",
        ("lightonocr-3-1b",),
        "grounding",
        answer=AnswerFormat.MARKERS,
        longest_side_px=1540,
        temperature=0.1,
        server_args=("--max-model-len", "16384", *_CACHES_OFF),
        least_vllm="0.30",
        licence="Apache-2.0",
        source="https://huggingface.co/lightonai/LightOnOCR-3-1B",
    ),
    ModelProfile(
        "lightonocr-3",
        ("lightonocr-3",),
        "grounding",
        answer=AnswerFormat.MARKERS,
        longest_side_px=2048,
        temperature=0.1,
        request_fields=_NO_THINKING,
        server_args=("--max-model-len", "18000", *_CACHES_OFF),
        least_vllm="0.30",
        licence="Apache-2.0",
        source="https://huggingface.co/lightonai/LightOnOCR-3-4B",
    ),
    ModelProfile(
        "lightonocr",
        ("lightonocr",),
        order=PromptOrder.IMAGE_ALONE,
        longest_side_px=1540,
        temperature=0.2,
        output_tokens=4096,
        request_fields={"top_p": 0.9},
        server_args=_CACHES_OFF,
        licence="Apache-2.0",
        source="https://huggingface.co/lightonai/LightOnOCR-2-1B",
    ),
    ModelProfile(
        "granite-docling",
        ("granite-docling",),
        "Convert this page to docling.",
        answer=AnswerFormat.DOCTAGS,
        grid=500,
        temperature=0.0,
        output_tokens=_REST_OF_8192,
        request_fields={"skip_special_tokens": False, "stop": ["</doctag>", "<|end_of_text|>"]},
        licence="Apache-2.0",
        source="https://huggingface.co/ibm-granite/granite-docling-258M",
    ),
    ModelProfile(
        "infinity-parser2",
        ("infinity-parser2",),
        prompts.INFINITY,
        answer=AnswerFormat.LAYOUT_JSON,
        temperature=0.0,
        output_tokens=32768,
        request_fields={"top_p": 1.0, **_NO_THINKING},
        server_args=("--max-model-len", "65536", "--reasoning-parser", "qwen3", "--trust-remote-code"),
        least_vllm="0.17.1",
        pin_revision=True,
        licence="Apache-2.0, not confirmed",
        source="https://github.com/infly-ai/INF-MLLM",
    ),
    ModelProfile(
        "hunyuanocr",
        ("hunyuanocr",),
        prompts.HUNYUAN,
        system="",
        temperature=0.0,
        output_tokens=16384,
        request_fields={"top_k": 1, "repetition_penalty": 1.0},
        server_args=_CACHES_OFF,
        pin_revision=True,
        licence="Tencent's own: not for the EU, the United Kingdom and South Korea",
        source="https://huggingface.co/tencent/HunyuanOCR",
    ),
    ModelProfile(
        "glm-ocr",
        ("glm-ocr",),
        "Text Recognition:",
        temperature=0.0,
        request_fields={"top_p": 1e-5, "top_k": 1, "repetition_penalty": 1.1},
        least_vllm="0.19",
        licence="MIT",
        source="https://huggingface.co/zai-org/GLM-OCR",
    ),
    ModelProfile(
        "paddleocr-vl",
        ("paddleocr-vl",),
        "OCR:",
        temperature=0.0,
        output_tokens=4096,
        server_args=("--trust-remote-code", "--max-num-batched-tokens", "16384", *_CACHES_OFF),
        least_vllm="0.11.1",
        pin_revision=True,
        licence="Apache-2.0, not confirmed",
        source="https://huggingface.co/PaddlePaddle/PaddleOCR-VL",
    ),
)
NAMES = ("generic", *(profile.name for profile in PROFILES))  # generic: no profile, the built-in prompt


def profile_named(name: str) -> ModelProfile | None:
    """The profile of that name; None for none."""
    return next((profile for profile in PROFILES if profile.name == name), None)


def profile_of_model(model: str) -> ModelProfile | None:
    """The profile of a model's id or path, by its last part. None for a model that is in none of the families.

    The order of the catalogue decides: a longer beginning stands before a shorter one.
    """
    last = model.rstrip("/").rpartition("/")[2].casefold()
    return next((each for each in PROFILES if last.startswith(each.models)), None)
