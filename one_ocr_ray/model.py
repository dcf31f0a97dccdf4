"""The nouns of the package: frozen values, without behaviour beyond what follows from the values.

Names that users see (codes, statuses, columns) follow the public contract. Names hold their units.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from one_ocr_ray.blocks import Positions, TextLayer

if TYPE_CHECKING:
    from datetime import datetime

    from one_ocr_ray.blocks import Block, PackedBlocks, PageBox
    from one_ocr_ray.profile import ModelProfile
    from one_ocr_ray.routing import Verdict


class ErrorCode(StrEnum):
    """Why a document, a page or a job failed. The dataset holds the value."""

    # Documents
    PDF_NOT_FOUND = "pdf_not_found"
    NOT_PDF = "not_pdf"
    UNSUPPORTED_FILE = "unsupported_file"
    PDF_ENCRYPTED = "pdf_encrypted"
    PDF_BAD_PASSWORD = "pdf_bad_password"  # noqa: S105 - a code, not a password
    PDF_CORRUPT = "pdf_corrupt"
    PDF_EMPTY = "pdf_empty"
    TOO_MANY_PAGES = "too_many_pages"
    TOO_LARGE = "too_large"
    # Pages
    RENDER_FAILED = "render_failed"
    RENDER_CRASHED = "render_crashed"
    RENDER_TIMEOUT = "render_timeout"
    IMAGE_TOO_LARGE = "image_too_large"
    PROVIDER_TIMEOUT = "provider_timeout"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_REJECTED = "provider_rejected"
    PROVIDER_BAD_RESPONSE = "provider_bad_response"
    CONTENT_FILTERED = "content_filtered"
    REFUSED = "refused"
    RECITATION = "recitation"
    TRUNCATED = "truncated"
    REPETITION = "repetition"
    CONTEXT_TOO_LONG = "context_too_long"
    OCR_FAILED = "ocr_failed"
    SCHEMA_MISMATCH = "schema_mismatch"
    TEXT_LAYER_UNTRUSTED = "text_layer_untrusted"
    # Jobs: these stop the run, resumably
    AUTH = "auth"
    BILLING = "billing"
    QUOTA_DAY = "quota_day"
    MODEL_NOT_FOUND = "model_not_found"
    BUDGET = "budget"
    INVALID_OPTIONS = "invalid_options"  # of an upload

    @property
    def retryable(self) -> bool:
        """True if trying the same page again later may help."""
        return self in _RETRYABLE


_RETRYABLE = frozenset(
    {ErrorCode.PROVIDER_TIMEOUT, ErrorCode.PROVIDER_UNAVAILABLE, ErrorCode.PROVIDER_BAD_RESPONSE}
    | {ErrorCode.RENDER_TIMEOUT, ErrorCode.RENDER_CRASHED}
)


class Action(StrEnum):
    """What the page loop does after a failed request."""

    FAIL = "fail"  # record the page as failed; the job goes on
    RETRY = "retry"  # the same request later; counts an attempt
    THROTTLED = "throttled"  # wait: the account is throttled, and the page loses no attempt
    RETRY_CHANGED = "retry_changed"  # once more with changed parameters
    RETRY_NOW = "retry_now"  # at once: the engine has learned how this server wants to be asked
    STOP = "stop"  # stop the job, resumably


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure as a value: a code for programs, one sentence for people."""

    code: ErrorCode
    message: str
    action: Action = Action.FAIL
    http_status: int | None = None
    retry_after_s: float | None = None
    slow_down: bool = False  # the account's rate is too high: halve it, instead of only pausing
    answer_lost: bool = False  # in transit: the provider may have answered and billed the request


class PageStatus(StrEnum):
    OK = "ok"
    BLANK = "blank"
    FAILED = "failed"


class PageWarning(StrEnum):
    """What is doubtful about a page that was read. The dataset holds the value."""

    LINES_DROPPED = "lines_dropped"  # many lines were too uncertain to keep
    SCRIPT_NOT_READ = "script_not_read"  # the models do not know the page's script
    GLYPHS_MISSING = "glyphs_missing"  # no font on the machine draws some of the page's characters
    TEXT_IN_PICTURE = "text_in_picture"  # a picture holds text that nobody read


class Outcome(StrEnum):
    """How a document ended."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PageImage:
    """One rendered page on its way to an engine."""

    page_number: int  # 1-based
    width_px: int
    height_px: int
    data: bytes = field(repr=False)  # a JPEG
    sha256: str
    ink_cells: int  # that stand out from the paper with their neighbours, in one band with plenty or on the whole page
    render_ms: int
    glyphs_missing: bool = False  # letters are not drawn: neither the document nor the machine has their font
    page_box: PageBox | None = None
    layer: TextLayer | None = None  # where it is wanted


@dataclass(frozen=True, slots=True)
class PageUnrendered:
    """A page that could not be rendered; it takes the place of its image."""

    page_number: int  # 1-based
    failure: Failure
    render_ms: int


RenderedPage = PageImage | PageUnrendered


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What an engine shall do with a page image, independent of the provider."""

    prompt: str = ""
    json_schema: str | None = None  # JSON text of a JSON Schema
    output_tokens_cap: int = 8192
    reasoning: str | None = "low"  # effort; None omits the field, for servers that refuse it
    temperature: float | None = None  # None leaves it to the provider
    positions: Positions = Positions.BLOCKS  # what is kept of the places on the page
    image_scale: float = 1.0  # of the sides of the rendered image; the page loop applies it
    turn_deg: int = 0  # clockwise, of the rendered image; the page loop applies it
    profile: ModelProfile | None = None  # None: the model takes any prompt, and answers in Markdown


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """The tokens of one request as the provider counted them. None: not reported."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """The account's limits in a reply's rate-limit headers. None: not reported."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    remaining_requests: float | None = None
    remaining_tokens: float | None = None
    reset_requests_s: float | None = None
    reset_tokens_s: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request, usable if `failure` is None. A failed one may have `text`, which is no page's text."""

    text: str = field(default="", repr=False)
    failure: Failure | None = None
    truncated: bool = False
    usage: TokenUsage = TokenUsage()
    model_version: str | None = None
    finish_reason: str | None = None
    provider_request_id: str | None = None
    confidence: float | None = None  # 0-1
    rotation_deg: int = 0  # clockwise turn that made the page upright
    warnings: tuple[PageWarning, ...] = ()
    limits: AccountLimits | None = None
    blocks: tuple[Block, ...] | None = field(default=None, repr=False)  # the source of `text`; None: unknown
    provider_message: str = field(default="", repr=False)  # beside a failure: the provider's sentence, cleaned
    verdict: Verdict | None = None  # of a reader that judges itself
    queue: tuple[int, int] | None = None  # of the server: requests that it works on, and that wait there

    @property
    def ended_by_itself(self) -> bool:
        """True if the provider says that the model finished, and nothing cut it off."""
        return self.finish_reason is not None and not self.truncated


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """One input file in the plan. `failure` is set if it cannot be opened."""

    document_id: str
    uri: str
    name: str
    size_bytes: int
    version: str | None = None  # an object's etag, a file's mtime in ns; None if unknown
    page_count: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """Whole documents that one worker reads and commits to the dataset at once.

    With `copies`, these are files whose bytes another document has: they get rows in `documents` and no pages.
    """

    shard_id: str
    documents: tuple[DocumentRef, ...]
    copies: bool = False


@dataclass(frozen=True, slots=True)
class PageResult:
    """One finished page: exactly one row of `pages`. Field names are the dataset's column names."""

    document_id: str
    page_number: int
    page_count: int
    source_uri: str
    source_name: str
    status: PageStatus
    engine: str
    model: str
    started_at: datetime
    finished_at: datetime
    run_id: str
    config_id: str
    markdown: str | None = field(default=None, repr=False)
    data: str | None = field(default=None, repr=False)
    failure: Failure | None = None
    route_reason: str | None = None
    model_version: str | None = None
    finish_reason: str | None = None
    provider_request_id: str | None = None
    truncated: bool = False
    prompt_sha256: str | None = None
    image_width: int | None = None
    image_height: int | None = None
    rotation: int | None = None
    image_sha256: str | None = None
    attempts: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None
    confidence: float | None = None
    render_ms: int | None = None
    queue_ms: int | None = None
    latency_ms: int | None = None
    warnings: tuple[PageWarning, ...] = ()  # of a page that is ok
    page_box: PageBox | None = None
    blocks: PackedBlocks | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class DocumentResult:
    """One finished input file: exactly one row of `documents`. Field names are the dataset's column names."""

    document_id: str
    source_uri: str
    source_name: str
    size_bytes: int
    page_count: int | None
    pages_ok: int
    pages_blank: int
    pages_failed: int
    outcome: Outcome
    failure: Failure | None
    markdown: str | None = field(repr=False)
    page_ends: tuple[int, ...]
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    started_at: datetime
    finished_at: datetime
    run_id: str
    config_id: str
