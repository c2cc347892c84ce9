"""What a stand-in tells the engine instead of a traceback."""

from collections.abc import Callable
from typing import Any

import grpc


class Told(Exception):
    """A fault of the cluster, the service or the inputs, in one clear line; `metadata` travels with it."""

    metadata: Any = ()


class Unfit(Told):
    """What a stand-in does not do."""


def answer(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what is Told into the call's failure."""

    def call(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request)
        except Told as fault:
            context.set_trailing_metadata(fault.metadata)
            context.abort(grpc.StatusCode.UNKNOWN, str(fault))

    return call
