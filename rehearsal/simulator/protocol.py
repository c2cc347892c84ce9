"""Requests of the OpenAI API: what the simulator takes from a body, and how it refuses one, as vLLM words it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .answer import count_tokens

MAX_TEMPERATURE = 2
MAX_STOPS = 4
"""`VLLM_MAX_STOP_STRINGS` unless it is set."""
_COMPLETION_DEFAULT_TOKENS = 16
# What a chat template adds to each message: its role between marks, and an end.
_TEMPLATE_TOKENS = 4


class ApiError(Exception):
    """A refusal: HTTP status, message, and the request's field at fault."""

    def __init__(self, status: int, kind: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param

    @property
    def body(self) -> dict[str, Any]:
        """The OpenAI error object."""
        error = {"message": str(self), "type": self.kind, "param": self.param, "code": self.status}
        return {"error": error}


@dataclass(frozen=True, kw_only=True)
class Generation:
    """A checked request for text; `prompt` is what the answer is made from, lengths are in tokens."""

    prompt: str
    prompt_tokens: int
    max_tokens: int
    min_tokens: int
    ignore_eos: bool
    stops: tuple[str, ...]
    stream: bool
    include_usage: bool
    model: str


def parse(body: bytes, content_type: str) -> object:
    """The body as JSON.

    Raises:
        ApiError: 400 where it is none, or is not said to be.
    """
    kind, _, _ = content_type.partition(";")
    if body and kind.strip().lower() != "application/json":
        raise _malformed("Unsupported Media Type: Only 'application/json' is allowed")
    try:
        return json.loads(body)
    except ValueError as error:
        raise _malformed(f"JSON decode error: {error}") from None


def chat(body: object, *, models: Sequence[str], max_model_len: int) -> Generation:
    """Read the body of `/v1/chat/completions`.

    Raises:
        ApiError: 404 for another model, 400 for anything else that vLLM refuses.
    """
    fields = _fields(body, models)
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _bad("messages: a list of one message or more is required", "messages")
    texts = [_content(message) for message in messages]
    prompt_tokens = sum(count_tokens(text) + _TEMPLATE_TOKENS for text in texts)
    limit = _integer(fields, "max_completion_tokens", least=1)
    if limit is None:
        limit = _integer(fields, "max_tokens", least=1)
    return _generation(fields, texts[-1], prompt_tokens, limit, max_model_len=max_model_len)


def completion(body: object, *, models: Sequence[str], max_model_len: int) -> Generation:
    """Read the body of `/v1/completions`: the prompt is a text, or a list of token ids.

    Raises:
        ApiError: 404 for another model, 400 for anything else that vLLM refuses, and for several prompts.
    """
    fields = _fields(body, models)
    prompt = fields.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
        prompt = prompt[0]
    if isinstance(prompt, list) and prompt and all(type(token) is int for token in prompt):
        text, prompt_tokens = " ".join(map(str, prompt)), len(prompt)
    elif isinstance(prompt, str) and prompt:
        text, prompt_tokens = prompt, count_tokens(prompt)
    else:
        raise _bad("prompt: one text, or one list of token ids, is required", "prompt")
    limit = _integer(fields, "max_tokens", least=1)
    limit = _COMPLETION_DEFAULT_TOKENS if limit is None else limit
    return _generation(fields, text, prompt_tokens, limit, max_model_len=max_model_len)


def _fields(body: object, models: Sequence[str]) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise _malformed("Input should be a valid dictionary or object to extract fields from", "body")
    model = body.get("model") or models[0]
    if model not in models:
        aliases = ", ".join(models)
        raise ApiError(404, "NotFoundError", f"The model `{model}` does not exist. Valid aliases: {aliases}.", "model")
    if body.get("n") not in (None, 1):
        raise _bad("n: the simulator gives one choice a request", "n")
    return body | {"model": model}


def _generation(
    fields: dict[str, Any], prompt: str, prompt_tokens: int, limit: int | None, *, max_model_len: int
) -> Generation:
    if limit is not None and limit > max_model_len:
        raise _bad(
            f"max_tokens={limit} cannot be greater than max_model_len={max_model_len}. Please request fewer output"
            " tokens.",
            "max_tokens",
        )
    if prompt_tokens >= max_model_len:
        raise _bad(
            f"This model's maximum context length is {max_model_len} tokens. However, your prompt contains at least"
            f" {max_model_len + 1} input tokens, which exceeds this limit even without any output tokens. Please reduce"
            " the length of the input prompt.",
            "input_tokens",
        )
    options = fields.get("stream_options") or {}
    if options and not fields.get("stream"):
        raise _bad("Stream options can only be defined when `stream=True`.", "stream_options")
    stop = fields.get("stop")
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or not all(isinstance(each, str) for each in stops):
        raise _malformed("stop: Input should be a valid string or list of strings", "body.stop")
    if len(stops) > MAX_STOPS:
        raise _malformed(f"List should have at most {MAX_STOPS} items after validation, not {len(stops)}", "body.stop")
    if "" in stops:
        raise _bad("stop cannot contain an empty string.")
    _within(fields, "temperature", "[0, 2]", lambda value: 0 <= value <= MAX_TEMPERATURE)
    _within(fields, "top_p", "(0, 1]", lambda value: 0 < value <= 1)
    least = _integer(fields, "min_tokens", least=0) or 0
    if limit is not None and least > limit:
        raise _bad(f"min_tokens must be less than or equal to max_tokens={limit}, got {least}.")
    return Generation(
        prompt=prompt,
        prompt_tokens=prompt_tokens,
        # What the context has no room for is not refused, and not made.
        max_tokens=min(limit or max_model_len, max_model_len - prompt_tokens),
        min_tokens=least,
        ignore_eos=bool(fields.get("ignore_eos")),
        stops=tuple(stops),
        stream=bool(fields.get("stream")),
        include_usage=bool(options.get("include_usage")),
        model=fields["model"],
    )


def _content(message: object) -> str:
    """The text of a chat message: a string, or the text parts of a list."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise _malformed("messages: every message needs a role", "body.messages")
    content = message.get("content") or ("" if message["role"] == "assistant" else message.get("content"))
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise _malformed("messages: content is neither a text nor a list of parts", "body.messages")
    if other := [part.get("type") for part in content if part.get("type") != "text"]:
        raise _bad(f"this is not a multimodal model, and takes no {other[0]}")
    return "\n".join(str(part.get("text", "")) for part in content)


def _integer(fields: dict[str, Any], name: str, *, least: int) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+\s*", value):
        value = int(value)
    if type(value) is not int:
        raise _malformed(f"{name}: Input should be a valid integer", f"body.{name}")
    if value < least:
        raise _bad(f"{name} must be at least {least}, got {value}.", name)
    return value


def _within(fields: dict[str, Any], name: str, bounds: str, holds: Callable[[float], bool]) -> None:
    value = fields.get(name)
    if value is None:
        return
    if type(value) not in (int, float):
        raise _malformed(f"{name}: Input should be a valid number", f"body.{name}")
    if not holds(value):
        raise _bad(f"{name} must be in {bounds}, got {value}.", name)


def _bad(message: str, param: str | None = None) -> ApiError:
    return ApiError(400, "BadRequestError", message, param)


def _malformed(message: str, param: str | None = None) -> ApiError:
    """What vLLM refuses before it looks at what is asked: its type differs from other refusals' by a space."""
    return ApiError(400, "Bad Request", f"1 validation error:\n  {message}", param)
