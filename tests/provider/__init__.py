"""A real HTTP server that plays OpenAI, Azure OpenAI and Gemini for the tests, with quotas, faults and a ledger.

identity    PDFs whose every page carries a marker, and its reader
quotas      how limits are enforced (pure)
scenario    everything there is to set; the rules and their dice (pure)
questions   a request body, read just far enough (pure)
replies     good answers; throttles: the wording of a 429 (pure)
faults      what can go wrong, with openai_faults, gateway_faults, gemini_faults; scene: what a fault is given (pure)
backend     question to decision (pure)
ledger      one row per request, and the statistics of rows
delivery    replies on the wire, whole or broken
server      the HTTP routes; control: those for tests, and their client
batches     files and batches, and their states by the clock; batch_play: what is to set of them; batch_routes: HTTP
running     in a thread, or as a process (`python -m tests.provider`)
"""

from tests.provider.batch_play import BatchPlay, LineRule, StepRule
from tests.provider.identity import Identity, identity_pdf, read_identity, write_identity_pdfs
from tests.provider.ledger import Row
from tests.provider.quotas import Mode, Quota, Unit, strict_minute
from tests.provider.running import Provider, ProviderProcess, kept_port
from tests.provider.scenario import DEFAULT_KEY, Hint, Identify, Latency, Rule, Scenario, TokenCharge, Tokens

__all__ = [
    "DEFAULT_KEY",
    "BatchPlay",
    "Hint",
    "Identify",
    "Identity",
    "Latency",
    "LineRule",
    "Mode",
    "Provider",
    "ProviderProcess",
    "Quota",
    "Row",
    "Rule",
    "Scenario",
    "StepRule",
    "TokenCharge",
    "Tokens",
    "Unit",
    "identity_pdf",
    "kept_port",
    "read_identity",
    "strict_minute",
    "write_identity_pdfs",
]
