"""What reading every byte takes before a replica starts."""

from __future__ import annotations

import pytest

from components.facts import models
from components.weights_timing import checking_seconds, read_seconds
from tests.components.samples import SMALLEST, changed, chat

SOURCE = str(SMALLEST["models"]["chat"]["source"])


@pytest.fixture(autouse=True)
def _listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program knows the source's files: 16 GB of weights, of which nobody wants the second half."""
    files = {"a.safetensors": 8_000_000_000, "original/b.safetensors": 8_000_000_000}
    monkeypatch.setattr(models, "_data", lambda: {SOURCE: files})


@pytest.mark.parametrize(
    ("check", "bandwidth", "seconds"),
    [
        ("sizes", 125, 0),
        ("checksums", 125, 128),  # 2 x 8 GB / 125 MB/s
        ("checksums", 400, 40),
        ("checksums", 25_000, 40),  # hashing is slower than the disk
    ],
)
def test_reading_every_byte_takes_as_long_as_the_slower_of_volume_and_hashing(
    check: str, bandwidth: int, seconds: int
) -> None:
    config = changed(SMALLEST, "models.chat.weights", {"size": "40Gi", "check": check, "bandwidthMBps": bandwidth})
    assert checking_seconds(chat(config)) == seconds


def test_without_a_list_of_files_the_volume_is_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_data", dict)
    config = changed(SMALLEST, "models.chat.weights", {"size": "10Gi", "check": "checksums"})
    assert read_seconds(chat(config), 125) == pytest.approx(10 * 2**30 / 125e6)
    assert checking_seconds(chat(config)) == 172


def test_weights_in_the_image_are_not_checked() -> None:
    config = changed(SMALLEST, "models.chat.source", "image:///models")
    config = changed(config, "models.chat.image", f"example.com/vllm@sha256:{'ab' * 32}")
    config = changed(config, "models.chat.probes", {"startupSeconds": 600})
    del config["models"]["chat"]["weights"]
    assert checking_seconds(chat(config)) == 0
