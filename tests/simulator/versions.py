"""Where vLLM 0.32, which the real engine here is, differs from 0.33, which the simulator is like. Elsewhere they agree.

Read off both versions' own parsers and answers: 0.33's Python code was run over 0.32's compiled CPU kernels.
"""

from __future__ import annotations

ADDED_FLAGS = frozenset({"monokernel", "reasoning_effort_map", "sleep_mode_backend", "watchdog_config"})
CHOICES = frozenset({"gdn_prefill_backend", "kv_cache_dtype", "moe_backend", "spec_method", "tool_strict_level"})
"""Flags that have other choices in 0.33."""
OPPOSITES = {"--enable-": "--disable-", "--disable-": "--enable-"}
"""0.33 takes `--disable-x` beside `--no-enable-x`, and `--enable-x` beside `--no-disable-x`."""
