"""Requests of the OpenAI API: what the simulator takes from a body, and how it refuses one, as vLLM words it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .answer import count_tokens

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
        raise _bad("the body is not a JSON object")
    model = body.get("model") or models[0]
    if model not in models:
        raise ApiError(404, "NotFoundError", f"The model `{model}` does not exist.", "model")
    if body.get("n") not in (None, 1):
        raise _bad("n: the simulator gives one choice a request", "n")
    return body | {"model": model}


def _generation(
    fields: dict[str, Any], prompt: str, prompt_tokens: int, limit: int | None, *, max_model_len: int
) -> Generation:
    if prompt_tokens >= max_model_len or prompt_tokens + (limit or 1) > max_model_len:
        raise _bad(
            f"This model's maximum context length is {max_model_len} tokens. However, you requested {limit or 1} output"
            f" tokens and your prompt contains {prompt_tokens} input tokens, for a total of"
            f" {prompt_tokens + (limit or 1)} tokens. Please reduce the length of the input prompt or the number of"
            " requested output tokens.",
            "input_tokens",
        )
    options = fields.get("stream_options") or {}
    if options and not fields.get("stream"):
        raise _bad("Stream options can only be defined when `stream=True`.", "stream_options")
    stop = fields.get("stop") or []
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(each, str) and each for each in stops):
        raise _bad("stop: a text or a list of texts, none of them empty, is required", "stop")
    return Generation(
        prompt=prompt,
        prompt_tokens=prompt_tokens,
        max_tokens=max_model_len - prompt_tokens if limit is None else limit,
        min_tokens=_integer(fields, "min_tokens", least=0) or 0,
        ignore_eos=bool(fields.get("ignore_eos")),
        stops=tuple(stops),
        stream=bool(fields.get("stream")),
        include_usage=bool(options.get("include_usage")),
        model=fields["model"],
    )


def _content(message: object) -> str:
    """The text of a chat message: a string, or the text parts of a list."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise _bad("messages: every message needs a role", "messages")
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise _bad("messages: content is neither a text nor a list of parts", "messages")
    if other := [part.get("type") for part in content if part.get("type") != "text"]:
        raise _bad(f"messages: this model takes text only, not {other[0]}", "messages")
    return "\n".join(str(part.get("text", "")) for part in content)


def _integer(fields: dict[str, Any], name: str, *, least: int) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is not int or value < least:
        raise _bad(f"{name} must be an integer of at least {least}, got {value}.", name)
    return value


def _bad(message: str, param: str | None = None) -> ApiError:
    return ApiError(400, "BadRequestError", message, param)
