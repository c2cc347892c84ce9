"""Log lines in vLLM's manner, on standard output."""

from __future__ import annotations

import logging
import sys

_PREFIX = "(APIServer pid=%(process)d) "


def configure(*, access_log: bool, excluded: frozenset[str]) -> None:
    """Set up the loggers of the engine and of uvicorn; requests to a path of `excluded` are not logged."""
    _attach("vllm", f"{_PREFIX}%(levelname)s %(asctime)s [%(filename)s:%(lineno)d] %(message)s")
    _attach("uvicorn.error", f"{_PREFIX}%(levelname)s:     %(message)s")
    access = _attach("uvicorn.access", f"{_PREFIX}%(levelname)s:     %(message)s")
    access.disabled = not access_log
    access.addFilter(lambda record: _path(record) not in excluded)


def _attach(name: str, pattern: str) -> logging.Logger:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(pattern, datefmt="%m-%d %H:%M:%S"))
    logger = logging.getLogger(name)
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


def _path(record: logging.LogRecord) -> str:
    """The path of uvicorn's access record: client, method, path with query, HTTP version, status."""
    match record.args:
        case (_client, _method, str(path), *_):
            return path.partition("?")[0]
    return ""
