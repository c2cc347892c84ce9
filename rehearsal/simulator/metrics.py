"""vLLM's Prometheus metrics, under the names, types, labels and buckets of 0.33."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

FINISH_REASONS = ("stop", "length", "abort", "error")
_LABELS = ("model_name", "engine")
_FIRST_TOKEN_BUCKETS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_TOKEN_BUCKETS = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
_REQUEST_BUCKETS = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0),
    *(30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)


class Metrics:
    """The metrics of one engine; counters and histograms are fed by it, gauges read it when scraped."""

    def __init__(self, model_name: str, *, max_model_len: int) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library lacks the annotation
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        lengths = _1_2_5(max_model_len)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"vllm:{name}", text, _LABELS, registry=self.registry).labels(model_name, "0")

        def counter(name: str, text: str) -> Counter:
            return Counter(f"vllm:{name}", text, _LABELS, registry=self.registry).labels(model_name, "0")

        def histogram(name: str, text: str, buckets: Sequence[float]) -> Histogram:
            family = Histogram(f"vllm:{name}", text, _LABELS, buckets=buckets, registry=self.registry)
            return family.labels(model_name, "0")

        self._running = gauge("num_requests_running", "Number of requests in model execution batches.")
        self._waiting = gauge("num_requests_waiting", "Number of requests waiting to be processed.")
        self._kv_cache_usage = gauge("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.")
        self.preemptions = counter("num_preemptions", "Cumulative number of preemption from the engine.")
        self.prompt_tokens = counter("prompt_tokens", "Number of prefill tokens processed.")
        self.generation_tokens = counter("generation_tokens", "Number of generation tokens processed.")
        success = Counter(
            "vllm:request_success",
            "Count of successfully processed requests.",
            (*_LABELS, "finished_reason"),
            registry=self.registry,
        )
        self.finished = {reason: success.labels(model_name, "0", reason) for reason in FINISH_REASONS}
        self.time_to_first_token = histogram(
            "time_to_first_token_seconds", "Histogram of time to first token in seconds.", _FIRST_TOKEN_BUCKETS
        )
        self.inter_token_latency = histogram(
            "inter_token_latency_seconds", "Histogram of inter-token latency in seconds.", _TOKEN_BUCKETS
        )
        self.time_per_output_token = histogram(
            "request_time_per_output_token_seconds",
            "Histogram of time_per_output_token_seconds per request.",
            _TOKEN_BUCKETS,
        )
        self.e2e_latency = histogram(
            "e2e_request_latency_seconds", "Histogram of e2e request latency in seconds.", _REQUEST_BUCKETS
        )
        self.queue_time = histogram(
            "request_queue_time_seconds", "Histogram of time spent in WAITING phase for request.", _REQUEST_BUCKETS
        )
        self.inference_time = histogram(
            "request_inference_time_seconds", "Histogram of time spent in RUNNING phase for request.", _REQUEST_BUCKETS
        )
        # Of the web server, which knows no model; streams are counted when they have ended.
        self.http_requests = Counter(
            "http_requests",
            "Total number of requests by method, status and handler.",
            ("handler", "status", "method"),
            registry=self.registry,
        )
        self.prompt_length = histogram("request_prompt_tokens", "Number of prefill tokens processed.", lengths)
        self.answer_length = histogram("request_generation_tokens", "Number of generation tokens processed.", lengths)
        self.max_tokens = histogram(
            "request_params_max_tokens", "Histogram of the max_tokens request parameter.", lengths
        )

    def watch(
        self, *, running: Callable[[], float], waiting: Callable[[], float], kv_cache_usage: Callable[[], float]
    ) -> None:
        """Read the gauges from these functions at every scrape."""
        self._running.set_function(running)
        self._waiting.set_function(waiting)
        self._kv_cache_usage.set_function(kv_cache_usage)


def _1_2_5(limit: int) -> list[float]:
    """1, 2, 5, 10, 20, 50 and so on up to `limit`."""
    steps = (step * 10.0**power for power in range(len(str(limit))) for step in (1, 2, 5))
    return [step for step in steps if step <= limit]
