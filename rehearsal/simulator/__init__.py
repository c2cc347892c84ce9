"""A stand-in for `vllm serve` of vLLM 0.33, faithful to what probes, drains, scaling and clients see of it.

It reads the weights for real, answers vLLM's flags, HTTP API, metrics and signals, and makes its answers up. The
package needs the standard library, starlette, uvicorn and prometheus_client only, and imports itself relatively, so
that it works under any name; an image installs it beside an executable `vllm` that calls `__main__.main`.

What it cannot know comes from the environment (all optional):

    SIMULATOR_LOAD_MBPS          bandwidth of reading weights, in 10^6 bytes a second (default: as fast as the disk)
    SIMULATOR_STARTUP_SECONDS    compilation and CUDA graphs after the weights are read (default 1)
    SIMULATOR_GPU_MEMORY_GIB     memory of one GPU (default 24, an L4)
    SIMULATOR_KV_CACHE_TOKENS    capacity of the KV cache in tokens, instead of the one computed from memory
    SIMULATOR_WITHOUT_GPU        1: start without a GPU from a device plugin
    SIMULATOR_STEP_MS            one forward pass without its batch (default 20)
    SIMULATOR_STEP_MS_PER_SEQ    what each sequence of the batch adds to it (default 1)
    SIMULATOR_PREFILL_TPS        prompt tokens processed a second (default 5000)
    SIMULATOR_TEARDOWN_SECONDS   between the last stream and the end of the process (default 1; 7 on the real engine)
    SIMULATOR_HUNG               1: healthy, and no token is ever made; SIGUSR1 begins and ends the same at any time
"""

VERSION = "0.33.0"
