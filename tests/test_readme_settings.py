"""The README's table of settings."""

from __future__ import annotations

from components.settings.docs import README, settings_table, with_table
from components.settings.schema import settings_schema


def test_the_readmes_table_of_settings_is_current() -> None:
    readme = README.read_text()
    assert readme == with_table(readme), "renew it with: python -m components.settings"


def test_the_table_has_a_row_for_every_setting_and_the_secret() -> None:
    rows = {line.split("`")[1] for line in settings_table().splitlines()[2:]}
    assert {"inference:hfToken", "inference:namespace", "inference:gpuPools.POOL.gpu.memoryGiB"} <= rows
    model = settings_schema()["$defs"]["Model"]["properties"]
    assert {key for key in model if not any(row.startswith(f"inference:models.MODEL.{key}") for row in rows)} == set()


def test_the_table_shows_defaults_where_they_apply() -> None:
    rows = {line.split("`")[1]: line.split(" | ")[1] for line in settings_table().splitlines()[2:]}
    assert rows["inference:models.MODEL.probes.readiness.periodSeconds"] == "`5`"
    assert rows["inference:models.MODEL.probes.liveness.periodSeconds"] == "`10`"
    assert rows["inference:models.MODEL.contextLength"] == "required"
    assert rows["inference:models.MODEL.image"] == "none"


def test_the_table_says_which_kind_of_a_section_a_setting_is_for() -> None:
    lines = settings_table().splitlines()
    assert any(line.startswith("| `aws:region` | none |") for line in lines)
    (provider,) = [line for line in lines if line.startswith("| `inference:cluster.provider`")]
    assert "| required | kubernetes, aws |" in provider
    assert "`provider: aws`: " in next(line for line in lines if "inference:cluster.create.zones`" in line)
    assert "`kind: gp3`: " in next(line for line in lines if "inference:storage.STORAGE.iops`" in line)
    assert "nodes of EKS: " in next(line for line in lines if "inference:gpuPools.POOL.instanceType`" in line)
